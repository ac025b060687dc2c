# SPDX-License-Identifier: Apache-2.0
"""The cpuset controller, which few hosts hand down before somebody asks for it."""

import os

from ocihook import fs

#: An empty cgroup beside the container's that uses the controller, so that systemd, which takes from slices
#: what none of its units asks for, cannot take it from the cgroup above.
_PIN = "bede.cpuset"
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.cgroup.path import Cgroup


def enable(cgroup: "Cgroup", *, own: bool) -> None:
    """Hand the cpuset controller down to *cgroup*. Raises OSError.

    *own*: somebody will call :func:`unpin`, so what keeps it there is for this container alone.
    """
    fd = os.open(cgroup.mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parts = cgroup.path.strip("/").split("/")
        for depth, part in enumerate(parts, 1):
            if "cpuset" not in fs.read("cgroup.subtree_control", dir_fd=fd).split():
                fs.write("cgroup.subtree_control", "+cpuset", dir_fd=fd)
            if depth == len(parts) and _is_of_systemd(cgroup.path):
                _pin(fd, _name(cgroup.inode) if own else _PIN)
            below = fs.walk(fd, part)
            os.close(fd)
            fd = below
    finally:
        os.close(fd)


def _name(inode: int) -> str:
    return f"{_PIN}-{inode}"


def _pin(parent: int, name: str) -> None:
    try:  # noqa: SIM105 - contextlib would be one more import in every container's start
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        pass
    fs.write(f"{name}/cgroup.subtree_control", "+cpuset", dir_fd=parent)


def unpin(path: str, inode: int, mount: str) -> None:
    """The cgroup *path* below *mount*, of that *inode*, needs the controller no more. Best effort."""
    above = path.rpartition("/")[0]
    if not _is_of_systemd(path):
        return
    try:
        root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = fs.walk(root, above)
            try:
                os.rmdir(_name(inode), dir_fd=fd)
            finally:
                os.close(fd)
        finally:
            os.close(root)
    except OSError:
        pass  # there is none, or its slice has gone


def _is_of_systemd(path: str) -> bool:
    above = path.rpartition("/")[0]
    return not above or above.endswith(".slice")
