"""The agent: one daemon a host that holds every container's bound."""
