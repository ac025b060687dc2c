"""The cpuset controller, which few hosts hand down before somebody asks for it."""

import os

from ocihook import fs

#: An empty cgroup that uses the controller, so that systemd, which takes from slices what none of its units
#: asks for, cannot take it from the cgroup above.
_PIN = "bede.cpuset"
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocihook.cgroup.path import Cgroup


def enable(cgroup: "Cgroup") -> None:
    """Hand the cpuset controller down to *cgroup*. Raises OSError."""
    fd = os.open(cgroup.mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parts = cgroup.path.strip("/").split("/")
        for depth, part in enumerate(parts, 1):
            if "cpuset" not in fs.read("cgroup.subtree_control", dir_fd=fd).split():
                fs.write("cgroup.subtree_control", "+cpuset", dir_fd=fd)
            if depth == len(parts) and _is_of_systemd(cgroup.path):
                _pin(fd)
            below = fs.walk(fd, part)
            os.close(fd)
            fd = below
    finally:
        os.close(fd)


def _pin(parent: int) -> None:
    try:  # noqa: SIM105 - contextlib would be one more import in every container's start
        os.mkdir(_PIN, 0o755, dir_fd=parent)
    except FileExistsError:
        pass
    fs.write(f"{_PIN}/cgroup.subtree_control", "+cpuset", dir_fd=parent)


def let_go(path: str, others: "Iterable[str]", mount: str) -> None:
    """Nobody at *path* below *mount* needs the controller any more, those at *others* do. Best effort."""
    above = path.rpartition("/")[0]
    if not _is_of_systemd(path) or any(other.rpartition("/")[0] == above for other in others):
        return
    try:
        root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = fs.walk(root, above)
            try:
                os.rmdir(_PIN, dir_fd=fd)
            finally:
                os.close(fd)
        finally:
            os.close(root)
    except OSError:
        pass  # there is none, or its slice has gone


def _is_of_systemd(path: str) -> bool:
    above = path.rpartition("/")[0]
    return not above or above.endswith(".slice")
