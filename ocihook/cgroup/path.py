# SPDX-License-Identifier: Apache-2.0
"""From a process to its cgroup v2 directory, as an open descriptor.

Sources: ``/proc/PID/cgroup`` (the ``0::`` line) and ``/proc/self/mountinfo``.
"""

import errno
import os

from ocihook import fs, host
from ocihook.errors import HostError, InputError

#: Characters that the kernel writes as a backslash and three octal digits.
_ESCAPED = {f"{ord(char):03o}": char for char in " \t\n\\#"}
#: Errors that concern this process (no descriptor or memory is left), not the file that was to be opened.
NOTHING_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_V2 = "Boot with systemd.unified_cgroup_hierarchy=1 on the kernel command line"


class Cgroup:
    """One cgroup v2 directory, held open. A context manager: leaving closes the descriptor."""

    __slots__ = ("fd", "inode", "mount", "path")

    def __init__(self, mount: str, path: str, fd: int) -> None:
        self.mount = mount  #: where the directory tree is, usually /sys/fs/cgroup
        self.path = path  #: below the mount, begins with "/"
        self.fd = fd  #: directory descriptor; owned by this object
        self.inode = os.fstat(fd).st_ino  #: also the cgroup's kernel id

    @property
    def directory(self) -> str:
        """Return the absolute path for messages. Open files by ``fd``: another cgroup may get this path."""
        return self.mount + self.path if self.path != "/" else self.mount

    def close(self) -> None:
        """Close the descriptor. A second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> "Cgroup":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def find(pid: int) -> Cgroup:
    """Return the cgroup that process *pid* is in, after checking that its memory controller is enabled.

    Raises InputError if there is no such process, HostError if its cgroup cannot hold a bound.
    """
    try:
        lines = fs.read(host.path(f"/proc/{pid}/cgroup")).split("\n")
    except (FileNotFoundError, ProcessLookupError):
        raise InputError(f"process {pid} is gone, the container has ended") from None
    path = ""
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, where = rest.partition(":")
        if "memory" in controllers.split(","):
            raise HostError("the memory controller of this host is on cgroup v1", _V2)
        if number == "0" and not controllers:
            path = where
    if path.endswith(" (deleted)"):
        raise InputError(f"the cgroup of process {pid} is gone, the container has ended")
    if not path.startswith("/"):
        raise HostError("this kernel has no cgroup v2", _V2)
    mount, below = _locate(path)
    fd = _open(mount, below)
    cgroup = Cgroup(mount, below, fd)
    try:
        check(cgroup)
    except BaseException:
        cgroup.close()
        raise
    return cgroup


def reopen(path: str, inode: int | None) -> Cgroup | None:
    """Return the cgroup at *path* below the mount if its kernel id is *inode*; None if it is gone.

    An *inode* of None means any cgroup at that path. Raises HostError if that cannot be determined.
    """
    cgroup = open_below(path)
    if cgroup is not None and inode is not None and cgroup.inode != inode:
        cgroup.close()
        return None
    return cgroup


def open_below(path: str) -> Cgroup | None:
    """Return the cgroup *path* below the mount, with any inode; None if there is none. Raises HostError."""
    try:
        top = mount_point()
        root = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return Cgroup(top, path, fs.open_below(root, path))
        finally:
            os.close(root)
    except OSError as error:
        # Without descriptors or memory we do not know whether the cgroup is gone.
        if error.errno in NOTHING_LEFT:
            raise HostError(f"cgroup {path} cannot be opened: {error.strerror}") from None
        return None


def mount_point() -> str:
    """Return where the cgroup v2 hierarchy is mounted. Raises HostError."""
    return _mounts()[0][1]


def of_user(mount: str) -> str:
    """Return the directory that contains the cgroups of this user's containers; for root, the *mount*."""
    user = os.geteuid()
    return mount if user == 0 else f"{mount}/user.slice/user-{user}.slice/user@{user}.service"


def check(cgroup: Cgroup) -> None:
    """Check that ``memory.high`` of *cgroup* can be set. Raises HostError if not."""
    if cgroup.path == "/":
        raise HostError(
            "the container's process is in the root cgroup, which has no memory.high",
            "Let the container runtime create a cgroup for the container",
        )
    try:
        os.stat("memory.high", dir_fd=cgroup.fd)
        return
    except OSError:
        pass
    root = fs.read_or(f"{cgroup.mount}/cgroup.controllers", "").split()
    if "memory" not in root:
        raise HostError(
            "cgroup v2 has no memory controller on this host",
            "Boot without cgroup_disable=memory and with systemd.unified_cgroup_hierarchy=1",
        )
    raise HostError(
        f"the memory controller is not delegated to {cgroup.directory}",
        "Add +memory to cgroup.subtree_control above it, or Delegate=memory to its systemd unit",
    )


def _locate(path: str) -> tuple[str, str]:
    if ".." in path.split("/"):
        raise HostError(
            "the container's cgroup is outside this process's cgroup namespace",
            "Run the container runtime and Bede in the host's cgroup namespace",
        )
    for root, mount in _mounts():
        if root == "/":
            return mount, path
        if path == root or path.startswith(root + "/"):
            return mount, path[len(root) :] or "/"
    raise HostError(
        f"cgroup {path} is not below any cgroup v2 mount of this host", "Mount cgroup2 on /sys/fs/cgroup"
    )


def _mounts() -> list[tuple[str, str]]:
    """Return (root within the hierarchy, mount point) of each cgroup v2 mount, the usual place first."""
    found = []
    for line in fs.read(host.path("/proc/self/mountinfo")).split("\n"):
        left, _, right = line.partition(" - ")
        if right.startswith("cgroup2 "):
            fields = left.split(" ")
            if len(fields) > 4:
                found.append((_unescape(fields[3]), _unescape(fields[4])))
    if not found:
        raise HostError("no cgroup v2 hierarchy is mounted", _V2)
    found.sort(key=lambda pair: (pair[1] != host.CGROUP, pair[0] != "/"))
    return found


def _unescape(text: str) -> str:
    head, *parts = text.split("\\")
    return head + "".join(_ESCAPED.get(part[:3], "\\" + part[:3]) + part[3:] for part in parts)


def _open(mount: str, path: str) -> int:
    try:
        root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return fs.open_below(root, path)
        finally:
            os.close(root)
    except FileNotFoundError:
        raise InputError(f"cgroup {path} is gone, the container has ended") from None
    except OSError as error:
        raise HostError(f"cgroup {mount}{path} cannot be opened: {error.strerror}") from None
