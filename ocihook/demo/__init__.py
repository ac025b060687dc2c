"""The demonstration: Redis under a bound in the machine in a box, watched and judged."""
