# SPDX-License-Identifier: Apache-2.0
"""Enables the cpuset controller for a container's cgroup, which few hosts do by themselves."""

import os

from ocihook import fs

#: The name of an empty cgroup beside the container's, which uses the controller. systemd disables a
#: controller in a slice if no unit needs it, but cannot do so while a child cgroup uses it.
_PIN = "bede.cpuset"
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.cgroup.path import Cgroup


def enable(cgroup: "Cgroup", *, own: bool) -> None:
    """Enable the cpuset controller on the whole path down to *cgroup*. Raises OSError.

    *own* makes the empty cgroup for this container alone: the caller will call :func:`unpin` later.
    """
    fd = os.open(cgroup.mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parts = cgroup.path.strip("/").split("/")
        for depth, part in enumerate(parts, 1):
            if "cpuset" not in fs.read("cgroup.subtree_control", dir_fd=fd).split():
                fs.write("cgroup.subtree_control", "+cpuset", dir_fd=fd)
            if depth == len(parts) and _is_of_systemd(cgroup.path):
                _pin(fd, _name(cgroup.inode) if own else _PIN)
            below = fs.open_below(fd, part)
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
    """Remove the empty cgroup that :func:`enable` made for the cgroup *path* with *inode*. Best effort."""
    above = path.rpartition("/")[0]
    if not _is_of_systemd(path):
        return
    try:
        root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = fs.open_below(root, above)
            try:
                os.rmdir(_name(inode), dir_fd=fd)
            finally:
                os.close(fd)
        finally:
            os.close(root)
    except OSError:
        pass  # the cgroup does not exist, or its slice is gone


def _is_of_systemd(path: str) -> bool:
    above = path.rpartition("/")[0]
    return not above or above.endswith(".slice")
