# SPDX-License-Identifier: Apache-2.0
"""A container's id: how to find it in the path of its cgroup, and how to show it to people."""

import re

_LEAF = "container"  # the cgroup that crun makes below a scope
_SCOPES = ("docker-", "libpod-", "cri-containerd-", "crio-", "crun-", "runc-", "bede-")
_GENERATED = re.compile(r"[0-9a-f]{64}")  # an id that an engine generated
#: The names of cgroups that are no scope: engines make these without systemd, and Podman makes them inside a
#: service, too (`podman run --cgroups=split`).
_PLAIN = re.compile(rf"(?:docker|libpod|libpod-payload|crio)-({_GENERATED.pattern})")
SHORT = 12  #: digits of a generated id that the engines show


def id_of(cgroup: str) -> str:
    """Return the container's id in the path of its *cgroup*, else the path's last part; safe to print."""
    parts = cgroup.rstrip("/").split("/")
    name = parts[-2] if parts[-1] == _LEAF and len(parts) > 2 else parts[-1]
    if name.endswith(".scope"):
        for prefix in _SCOPES:
            if name.startswith(prefix):
                name = _plain(name.removeprefix(prefix).removesuffix(".scope"))
                break
    elif (found := _PLAIN.fullmatch(name)) is not None:
        name = found[1]
    elif parts[-2:-1] == ["bede"]:  # `bede run` makes such a cgroup on a host without systemd
        name = name.removeprefix("bede-")
    # A cgroup's name is untrusted: whoever makes it chooses it.
    return escaped(name)


def without_leaf(cgroup: str) -> str:
    """Return the path of the cgroup that an engine asked for: crun makes another one below a scope."""
    return cgroup.removesuffix(f"/{_LEAF}")


def is_of_pod(id: str, cgroup: str) -> bool:
    """Return whether container *id* with this *cgroup* may be one that the kubelet has a CRI engine make.

    By default the kubelet puts pods below ``kubepods``, but it can be told another place. Docker has scopes
    of its own name there.
    """
    scope = without_leaf(cgroup).rpartition("/")[2]
    if not is_generated(id) or scope.startswith("docker-"):
        return False
    return "kubepods" in cgroup or scope.startswith(("cri-containerd-", "crio-"))


def is_generated(id: str) -> bool:
    """Return whether an engine generated *id*, so that its first digits suffice; else a person chose it."""
    return _GENERATED.fullmatch(id) is not None


def short(id: str) -> str:
    """Return *id* as it is shown: the first digits of a generated id, the whole of any other."""
    return id[:SHORT] if is_generated(id) else id


def escaped(text: str) -> str:
    """Return *text* with control characters escaped, so that it is safe to print and still unique."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _plain(name: str) -> str:
    """Return *name* with systemd-escape(1)'s escapes decoded; unchanged if the result is no valid text."""
    try:
        escaped = name.encode()
        return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), escaped).decode()
    except UnicodeError:
        return name
