# SPDX-License-Identifier: Apache-2.0
"""Finds containers that a patched kernel bounds by itself: no hook announces them, only their limits do."""

from __future__ import annotations

import math
import os
import time

from ocihook import fs
from ocihook.backends import choose
from ocihook.cgroup import memory, names, path, procfs
from ocihook.config import Config
from ocihook.errors import BedeError
from ocihook.follow.family import Family
from ocihook.spec import nodelimit
from ocihook.topology import nodes

_KEEP = 0.2  #: seconds for which "this cgroup has no limits" is cached ...
_YOUNG = 10.0  #: ... unless it is younger than so many seconds: its runtime may be about to set them
_MOST = 4096  #: cgroups in that cache


class Discovery:
    """Finds, for a process, the outermost cgroup around it that has a limit on each local node."""

    def __init__(self, settings: Config) -> None:
        self._local: tuple[int, ...] = ()
        self._without: dict[str, float] = {}
        try:
            self._mount = path.mount_point()
            #: whether this kernel has such limits
            self.possible = choose.has_limits(self._mount)
            if self.possible:
                self._local = nodes.find(settings.far_nodes).local
        except (BedeError, OSError):
            self.possible = False

    def find(self, pid: int) -> Family | None:
        """Return the family of the limited cgroup that *pid* is in; None where there is none."""
        where = procfs.cgroup_of(pid)
        if where is None or where == "/":
            return None
        now = time.monotonic()
        if self._without.get(where, 0.0) > now:
            return None
        cgroup, age = self._limited(where)
        if cgroup is None:
            if age >= _YOUNG:
                if len(self._without) >= _MOST:
                    self._without.clear()
                self._without[where] = now + _KEEP
            return None
        family = Family(names.id_of(cgroup.path), cgroup, _first(pid, cgroup))
        if _is_service(cgroup.path) and family.pid_ns is None and family.cgroup_ns is None:
            family.close()  # a cgroup whose children are meant to leave it, as sessions leave sshd
            return None
        return family

    def _limited(self, where: str) -> tuple[path.Cgroup | None, float]:
        """Return (the outermost limited cgroup on the path *where*, 0); if none, (None, age of *where* in
        seconds).

        A cgroup that is gone has an infinite age. Raises OSError if no descriptor is left.
        """
        fd = os.open(self._mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        part = ""
        try:
            for name in where.strip("/").split("/"):
                below = fs.open_below(fd, name)
                os.close(fd)
                fd = below
                part += "/" + name
                if self._is_limited(fd):
                    return path.Cgroup(self._mount, part, os.dup(fd)), 0.0
            return None, time.time() - os.fstat(fd).st_ctime
        except OSError as error:
            if error.errno in path.NOTHING_LEFT:
                raise
            return None, math.inf
        finally:
            os.close(fd)

    def _is_limited(self, fd: int) -> bool:
        try:
            return nodelimit.bound_of(memory.node_limits(fd), self._local) is not None
        except (OSError, BedeError):
            return False


def _is_service(where: str) -> bool:
    name = where.rpartition("/")[2]
    return name.endswith((".service", ".slice")) or name == "init.scope" or name.startswith("session-")


def _first(pid: int, cgroup: path.Cgroup) -> int:
    """Return the first process of the pid namespace of *pid*, if it is in *cgroup*; else *pid* itself."""
    ns = procfs.namespace(pid, "pid")
    for word in fs.read_or("cgroup.procs", "", dir_fd=cgroup.fd).split():
        if procfs.is_first(int(word)) and procfs.namespace(int(word), "pid") == ns:
            return int(word)
    return pid
