"""The cpuset controller, which few hosts hand down before somebody asks for it."""

import os

from ocihook import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.cgroup.path import Cgroup


def enable(cgroup: "Cgroup") -> None:
    """Hand the cpuset controller down to *cgroup*. Raises OSError."""
    fd = os.open(cgroup.mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in cgroup.path.strip("/").split("/"):
            if "cpuset" not in fs.read("cgroup.subtree_control", dir_fd=fd).split():
                fs.write("cgroup.subtree_control", "+cpuset", dir_fd=fd)
            below = fs.walk(fd, part)
            os.close(fd)
            fd = below
    finally:
        os.close(fd)
