# SPDX-License-Identifier: Apache-2.0
"""A container's id: from the path that its runtime gave its cgroup, and as people read it."""

import re

_LEAF = "container"  # crun's cgroup below a scope
_SCOPES = ("docker-", "libpod-", "cri-containerd-", "crio-", "crun-", "runc-", "bede-")
_GENERATED = re.compile(r"[0-9a-f]{64}")  # an engine's id, which no person would choose
#: without systemd, and in a service of its own (`podman run --cgroups=split`), there is no scope
_PLAIN = re.compile(rf"(?:docker|libpod|libpod-payload|crio)-({_GENERATED.pattern})")
SHORT = 12  #: digits of a generated id, as the engines show it


def id_of(cgroup: str) -> str:
    """The container's id in the path of its *cgroup*, else the path's last part; fit to be printed."""
    parts = cgroup.rstrip("/").split("/")
    name = parts[-2] if parts[-1] == _LEAF and len(parts) > 2 else parts[-1]
    if name.endswith(".scope"):
        for prefix in _SCOPES:
            if name.startswith(prefix):
                name = _plain(name.removeprefix(prefix).removesuffix(".scope"))
                break
    elif (found := _PLAIN.fullmatch(name)) is not None:
        name = found[1]
    elif parts[-2:-1] == ["bede"]:  # of `bede run`, without systemd
        name = name.removeprefix("bede-")
    # Whoever may make cgroups chooses their names.
    return escaped(name)


def is_generated(id: str) -> bool:
    """Whether an engine made *id* up, so that its beginning is as good; else a person chose it."""
    return _GENERATED.fullmatch(id) is not None


def short(id: str) -> str:
    """*id* as people read it: the first digits of a generated one, all of one that a person chose."""
    return id[:SHORT] if is_generated(id) else id


def escaped(text: str) -> str:
    """*text* fit to be printed; two that differ in what a terminal would obey still differ."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _plain(name: str) -> str:
    """*name* without what systemd-escape(1) has done to it; as it is where that is no text."""
    try:
        escaped = name.encode()
        return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), escaped).decode()
    except UnicodeError:
        return name
