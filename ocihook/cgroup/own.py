# SPDX-License-Identifier: Apache-2.0
"""Checks that a container has its cgroup to itself, since a limit applies to every process in a cgroup.

If the runtime makes no cgroup (``--cgroups=disabled``, or a user without delegated cgroups), the container's
first process stays in the cgroup of the runtime's caller: a login session, a unit, an engine.
"""

import errno
import os

from ocihook import fs
from ocihook.cgroup import tree
from ocihook.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocihook.cgroup.path import Cgroup

_DEEPEST = 1024  # most generations that the search for an ancestor climbs, against an endless loop
#: Errors to skip a cgroup by: a threaded one does not list processes, but the cgroup above it does
#: (EOPNOTSUPP); the others mean that the cgroup has vanished.
_NONE = (errno.EOPNOTSUPP, errno.ENOENT, errno.ENODEV)


def check(cgroup: "Cgroup", pid: int, runtime: int = 0) -> None:
    """Check that *cgroup*, which process *pid* is in, has no processes of others. Raises HostError, OSError.

    *runtime* is the process that makes the container. Its other children may be in the cgroup for now (runc
    puts criu into the cgroup that it restores), but never the runtime itself, its caller, or this process.
    """
    for other in members(cgroup):
        if other != pid and not _belongs(other, pid, runtime):
            raise HostError(
                f"the container has no cgroup of its own: {_called(other)} is in {cgroup.directory} as well",
                "Let its runtime make one: leave out --cgroups=disabled;"
                " a user needs a systemd session, which delegates them",
            )


def is_free(mount: str, where: str) -> bool:
    """Return whether the cgroup *where* below *mount* is empty or missing; False if that is unknown."""
    try:
        root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = fs.open_below(root, where)
        finally:
            os.close(root)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        return "populated 0" in fs.read_or("cgroup.events", "", dir_fd=fd).splitlines()
    finally:
        os.close(fd)


def members(cgroup: "Cgroup") -> "Iterator[int]":
    """Yield the processes in *cgroup* and below it; 0 stands for one outside our pid namespace.

    Raises OSError.
    """
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            fd = fs.open_below(cgroup.fd, below)
            try:
                words = fs.read("cgroup.procs", dir_fd=fd).split()
                waiting += tree.below(fd, below + "/")
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno not in _NONE:
                raise
            continue
        yield from (int(word) for word in words)


def _belongs(other: int, pid: int, runtime: int) -> bool:
    """Return whether *other* has ended, belongs to the container of *pid*, or helps its *runtime*."""
    from ocihook.cgroup import procfs  # not at the top: every start of a container would load it

    if other in (0, os.getpid()):
        return False
    inside = procfs.namespace(pid, "pid")
    if (
        inside not in (None, procfs.namespace(os.getpid(), "pid"))
        and procfs.namespace(other, "pid") == inside
    ):
        return True
    above = other
    for _ in range(_DEEPEST):
        above = procfs.parent_of(above)
        if above <= 1:
            break
        if above in (pid, runtime):
            return True
    return procfs.cgroup_of(other) is None


def _called(pid: int) -> str:
    if not pid:
        return "a process that is not seen from here"
    from ocihook.cgroup import procfs

    return f"process {pid} ({procfs.status(pid).get('Name', 'which has ended')})"
