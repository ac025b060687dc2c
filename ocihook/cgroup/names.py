"""A container's id, from the path that its runtime gave its cgroup."""

import re

_LEAF = "container"  # crun's cgroup below a scope
_SCOPES = ("docker-", "libpod-", "cri-containerd-", "crio-", "crun-", "runc-", "bede-")


def id_of(cgroup: str) -> str:
    """The container's id in the path of its *cgroup*, else the path's last part; fit to be printed."""
    parts = cgroup.rstrip("/").split("/")
    name = parts[-2] if parts[-1] == _LEAF and len(parts) > 2 else parts[-1]
    if name.endswith(".scope"):
        for prefix in _SCOPES:
            if name.startswith(prefix):
                name = _plain(name.removeprefix(prefix).removesuffix(".scope"))
                break
    elif parts[-2:-1] == ["bede"]:  # of `bede run`, without systemd
        name = name.removeprefix("bede-")
    # Whoever may make cgroups chooses their names.
    return name if name.isprintable() else ascii(name)[1:-1]


def _plain(name: str) -> str:
    """*name* without what systemd-escape(1) has done to it; as it is where that is no text."""
    try:
        escaped = name.encode()
        return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), escaped).decode()
    except UnicodeError:
        return name
