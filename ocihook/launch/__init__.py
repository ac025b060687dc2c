"""A command under a bound, without a container."""
