"""Containers that a patched kernel bounds by itself: no hook has told of them, their limits do."""

from __future__ import annotations

import os
import time

from ocihook import fs
from ocihook.agent.family import Family
from ocihook.backends import choose
from ocihook.cgroup import kin, memory, names, path
from ocihook.config import Config
from ocihook.errors import BedeError
from ocihook.spec import nodelimit
from ocihook.topology import nodes

_KEEP = 0.2  #: seconds for which a cgroup without limits is believed to have none ...
_YOUNG = 10.0  #: ... unless it was made less than so many seconds ago: a runtime is about to set them
_MOST = 4096  #: of these that are remembered


class Discovery:
    """Finds the outermost cgroup with a limit on each local node that a process is in."""

    def __init__(self, settings: Config) -> None:
        self._local: tuple[int, ...] = ()
        self._without: dict[str, float] = {}
        try:
            #: whether this kernel has such limits
            self.possible = choose.for_host(path.mount_point()) == choose.NODE_LIMIT
            if self.possible:
                self._local = nodes.find(settings.far_nodes).local
        except (BedeError, OSError):
            self.possible = False

    def find(self, pid: int) -> Family | None:
        """The family of the limited cgroup that *pid* is in; None where there is none."""
        where = kin.cgroup_of(pid)
        if where is None or where == "/":
            return None
        now = time.monotonic()
        if self._without.get(where, 0.0) > now:
            return None
        cgroup = self._limited(where)
        if cgroup is None:
            if not _is_young(where):
                if len(self._without) >= _MOST:
                    self._without.clear()
                self._without[where] = now + _KEEP
            return None
        family = Family(names.id_of(cgroup.path), cgroup, _first(pid, cgroup))
        if _is_service(cgroup.path) and family.pid_ns is None and family.cgroup_ns is None:
            family.close()  # its children are meant to leave it, as sessions leave sshd
            return None
        return family

    def _limited(self, where: str) -> path.Cgroup | None:
        part = ""
        for name in where.strip("/").split("/"):
            part += "/" + name
            cgroup = path.open_below(part)
            if cgroup is None:
                return None
            try:
                if nodelimit.bound_of(memory.node_limits(cgroup.fd), self._local) is not None:
                    return cgroup
            except (OSError, BedeError):
                pass
            cgroup.close()
        return None


def _is_service(where: str) -> bool:
    name = where.rpartition("/")[2]
    return name.endswith((".service", ".slice")) or name == "init.scope" or name.startswith("session-")


def _is_young(where: str) -> bool:
    cgroup = path.open_below(where)
    if cgroup is None:
        return False
    with cgroup:
        return time.time() - os.fstat(cgroup.fd).st_ctime < _YOUNG


def _first(pid: int, cgroup: path.Cgroup) -> int:
    """The first process of the pid namespace of *pid*, if it is in *cgroup*; else *pid* itself."""
    ns = kin.namespace(pid, "pid")
    for word in fs.read_or("cgroup.procs", "", dir_fd=cgroup.fd).split():
        if kin.is_first(int(word)) and kin.namespace(int(word), "pid") == ns:
            return int(word)
    return pid
