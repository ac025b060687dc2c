"""A container's id, from the path that its runtime gave its cgroup."""

_LEAF = "container"  # crun's cgroup below a scope
_SCOPES = ("docker-", "libpod-", "cri-containerd-", "crio-", "crun-", "runc-")


def id_of(cgroup: str) -> str:
    """The container's id in the path of its *cgroup*, else the path's last part; fit to be printed."""
    parts = cgroup.rstrip("/").split("/")
    name = parts[-2] if parts[-1] == _LEAF and len(parts) > 2 else parts[-1]
    if name.endswith(".scope"):
        for prefix in _SCOPES:
            if name.startswith(prefix):
                name = name.removeprefix(prefix).removesuffix(".scope")
                break
    # Whoever may make cgroups chooses their names.
    return name if name.isprintable() else ascii(name)[1:-1]
