"""``bede-runtime``: the OCI runtime wrapper of Docker and containerd."""
