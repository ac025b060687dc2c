"""The container engines of this host: Podman, Docker, containerd and CRI-O, as an operator sees them."""
