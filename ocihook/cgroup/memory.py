# SPDX-License-Identifier: Apache-2.0
"""The memory files of one cgroup v2 directory."""

from ocihook import fs
from ocihook.errors import HostError
from ocihook.spec import nodelimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from ocihook.cgroup.path import Cgroup

#: Keys of ``memory.numa_stat`` that make up local and far usage: the LRU, each page once.
KEYS = frozenset(("inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable"))

_UNKNOWN = "Boot another kernel, and report this one"


def local_far(
    numa_stat: str, local_nodes: "Collection[int]", far_nodes: "Collection[int]"
) -> tuple[int, int]:
    """Return (local, far) usage in bytes by *numa_stat*, the text of ``memory.numa_stat``.

    Usage includes descendants. Raises HostError if the text cannot be parsed.
    """
    local = far = 0
    for line in numa_stat.split("\n"):
        key, _, rest = line.partition(" ")
        if key not in KEYS:
            continue
        for field in rest.split():
            node, _, value = field.partition("=")
            number = _number(node.removeprefix("N"), "memory.numa_stat")
            if number in local_nodes:
                local += _number(value, "memory.numa_stat")
            elif number in far_nodes:
                far += _number(value, "memory.numa_stat")
    return local, far


def _number(text: str, name: str) -> int:
    value = fs.number(text)
    if value is None:
        raise HostError(f"{name} of this kernel cannot be read: {text[:40]!a} is no number", _UNKNOWN)
    return value


def usage(dir_fd: int) -> int:
    """Return ``memory.current`` in bytes. Raises OSError, HostError."""
    return _number(fs.read("memory.current", dir_fd=dir_fd).strip(), "memory.current")


def high(dir_fd: int) -> int | None:
    """Return ``memory.high`` in bytes; None is "max". Raises OSError, HostError."""
    return limit(dir_fd, "memory.high")


def maximum(dir_fd: int) -> int | None:
    """Return ``memory.max`` in bytes; None is "max". Raises OSError, HostError."""
    return limit(dir_fd, "memory.max")


def limit(dir_fd: int, name: str) -> int | None:
    """Return the limit in file *name* in bytes; None is "max". Raises OSError, HostError."""
    text = fs.read(name, dir_fd=dir_fd).strip()
    return None if text == "max" else _number(text, name)


def limit_or_none(dir_fd: int, name: str) -> int | None:
    """Return the limit like :func:`limit`; None also if this kernel has no such file."""
    try:
        return limit(dir_fd, name)
    except OSError:
        return None


def container_limit(cgroup: "Cgroup") -> int | None:
    """Return the memory limit in bytes that a runtime gave the container in *cgroup*; None for none.

    Raises OSError, HostError.
    """
    own = maximum(cgroup.fd)
    # crun and Podman put the process into a child cgroup of that name, but may set the limit on its parent.
    if own is None and cgroup.path.endswith("/container"):
        return limit(cgroup.fd, "../memory.max")
    return own


def is_limited(dir_fd: int) -> bool:
    """Return whether the cgroup has a ``memory.max``, or a cgroup above it has one or a ``memory.high``.

    A file that cannot be read counts as no limit, since the root cgroup has none. Raises HostError.
    """
    above = ""
    while True:
        try:
            if limit(dir_fd, f"{above}memory.max") is not None:
                return True
            if above and limit(dir_fd, f"{above}memory.high") is not None:
                return True
        except OSError:
            return False
        above += "../"


def node_limits(dir_fd: int) -> dict[int, int | None]:
    """Return ``memory.node_limit`` in bytes by node; None is "max". Raises OSError, InputError."""
    return nodelimit.parse(fs.read(nodelimit.NAME, dir_fd=dir_fd))


def set_node_limits(dir_fd: int, limits: "dict[int, int | None] | dict[int, int]") -> None:
    """Write ``memory.node_limit``; return once the kernel has moved what is beyond it. Raises OSError."""
    fs.write(nodelimit.NAME, nodelimit.dump(limits), dir_fd=dir_fd, waits=True)


def node_usage(dir_fd: int) -> dict[int, int]:
    """Return the bytes in use by node, by ``memory.node_current``, which includes descendants.

    Raises OSError, InputError.
    """
    used = nodelimit.parse(fs.read("memory.node_current", dir_fd=dir_fd))
    return {node: value or 0 for node, value in used.items()}


def node_events(dir_fd: int) -> dict[str, int]:
    """Return the numbers of pages by event, by ``memory.node_events``. Raises OSError, HostError."""
    lines = fs.read("memory.node_events", dir_fd=dir_fd).splitlines()
    pairs = [line.partition(" ") for line in lines]
    return {name: _number(value, "memory.node_events") for name, _, value in pairs}
