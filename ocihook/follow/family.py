# SPDX-License-Identifier: Apache-2.0
"""A family: all processes of one bound container, whatever cgroup they are in now.

Where a container has its own pid namespace, that identifies its processes: no process can leave it, and all
children are inside. Else cgroup namespace, lineage (who forked whom) or mount namespace identify them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ocihook import fs
from ocihook.cgroup import process, procfs
from ocihook.cgroup.path import Cgroup
from ocihook.control.status import Outside

_PRUNE = 4096  #: number of known processes at which the first search for ended ones takes place
_DEEPEST = 1024  #: most generations that a search for an ancestor climbs, against an endless loop


class Family:
    """One container's processes, and counts of those that were found outside its cgroup."""

    def __init__(self, id: str, cgroup: Cgroup, pid: int) -> None:
        self.id = id
        self.cgroup = cgroup  #: its home, the container's cgroup; closed with this object
        self.pid = pid  #: one of its processes: the first one, if that is known ...
        self.start = process.start_time(pid) if pid else None  #: ... and the start time of that process
        self.returned = 0  #: processes that were outside and were put back
        self.failed = 0  #: processes that could not be put back
        self.seconds = 0.0  #: how long the returned ones were outside, in total
        self.bytes = 0  #: most bytes that they charged to other cgroups, where the charge stays
        self._held: list[int] = []
        #: inodes of its namespaces; None if the container uses the host's, or if it is unknown
        self.pid_ns, self.cgroup_ns, self.mnt_ns = (self._hold(name) for name in ("pid", "cgroup", "mnt"))
        if not procfs.is_first(pid):
            self.pid_ns = None  # the container has joined another container's namespace, as in a pod
        self.own_mnt_ns = self._own_mnt_ns()  #: the inode if it identifies the container, else None

    def _hold(self, name: str) -> int | None:
        """Hold the process's namespace *name* open, so that no other namespace gets its inode.

        Return the inode; None if it is the host's.
        """
        fd = procfs.hold_namespace(self.pid, name)
        if fd is None:
            return None
        self._held.append(fd)
        inode = os.fstat(fd).st_ino
        return inode if inode != procfs.namespace(os.getpid(), name) else None

    def _own_mnt_ns(self) -> int | None:
        """Return the inode of the mount namespace if it identifies the container, else None.

        It does not if it is the host's or the parent's: a systemd unit may have a mount namespace of its own.
        """
        if self.pid_ns is not None:
            return None  # the pid namespace is more reliable
        others = [procfs.namespace(pid, "mnt") for pid in (1, procfs.parent_of(self.pid))]
        return None if None in others or self.mnt_ns in others else self.mnt_ns

    @classmethod
    def of_record(cls, id: str, cgroup: Cgroup, pid: int, start: int) -> Family:
        """Return the family in *cgroup*, whose first process was *pid*, started at *start*."""
        if not process.is_same(pid, start):
            pid = next(_members(cgroup.fd), 0)
        family = cls(id, Cgroup(cgroup.mount, cgroup.path, os.dup(cgroup.fd)), pid)
        if pid and process.start_time(pid) != family.start:
            # The pid was reused by another process while we looked.
            family.pid_ns = family.cgroup_ns = family.mnt_ns = family.own_mnt_ns = family.start = None
        return family

    def contains(self, path: str) -> bool:
        """Return whether the cgroup *path* is the family's home or below it."""
        return path == self.cgroup.path or path.startswith(self.cgroup.path + "/")

    def outside(self) -> Outside:
        """Return what ``bede ps`` shows of the processes that were outside."""
        return Outside(self.returned, self.failed, round(self.seconds, 6), self.bytes)

    def close(self) -> None:
        """Close the descriptors of the cgroup and the namespaces."""
        while self._held:
            os.close(self._held.pop())
        self.cgroup.close()


def _members(fd: int) -> Iterator[int]:
    words = fs.read_or("cgroup.procs", "", dir_fd=fd).split()
    return (int(word) for word in words if word != "0")


class Families:
    """All families of the host, found by cgroup or by process."""

    def __init__(self) -> None:
        self._by_home: dict[str, Family] = {}
        self._by_pid_ns: dict[int, Family] = {}
        self._by_cgroup_ns: dict[int, list[Family]] = {}
        self._by_mnt_ns: dict[int, list[Family]] = {}
        #: processes of families without a pid namespace of their own, with their start times. None: the
        #: process ended before anybody looked, and is kept because events about its children may still come
        self._lineage: dict[int, tuple[Family, int | None]] = {}
        #: the part of ``_lineage`` that has ended: see :meth:`mark_ended`
        self.ended: dict[int, tuple[Family, int | None]] = {}
        self._prune_at = _PRUNE
        self._host_pid_ns = procfs.namespace(os.getpid(), "pid")
        self._host_cgroup_ns = procfs.namespace(os.getpid(), "cgroup")

    def __iter__(self) -> Iterator[Family]:
        return iter(list(self._by_home.values()))

    def __len__(self) -> int:
        return len(self._by_home)

    def add(self, family: Family) -> None:
        """Add *family*. It replaces one that has the same home."""
        self.remove(family.cgroup.path)
        self._by_home[family.cgroup.path] = family
        if family.pid_ns is not None:
            self._by_pid_ns[family.pid_ns] = family
            return
        if family.start is not None:
            self._lineage[family.pid] = (family, family.start)
        if family.cgroup_ns is not None:
            self._by_cgroup_ns.setdefault(family.cgroup_ns, []).append(family)
        if family.own_mnt_ns is not None:
            self._by_mnt_ns.setdefault(family.own_mnt_ns, []).append(family)

    def remove(self, home: str) -> None:
        """Forget the family whose home is the cgroup *home*."""
        family = self._by_home.pop(home, None)
        if family is None:
            return
        if family.pid_ns is not None and self._by_pid_ns.get(family.pid_ns) is family:
            del self._by_pid_ns[family.pid_ns]
        for known, ns in ((self._by_cgroup_ns, family.cgroup_ns), (self._by_mnt_ns, family.own_mnt_ns)):
            others = [other for other in known.pop(ns, []) if other is not family] if ns is not None else []
            if ns is not None and others:
                known[ns] = others
        self._lineage = {pid: entry for pid, entry in self._lineage.items() if entry[0] is not family}
        family.close()

    def at(self, home: str) -> Family | None:
        """Return the family whose home is exactly *home*; None if there is none."""
        return self._by_home.get(home)

    def home_of(self, path: str) -> Family | None:
        """Return the family in whose home the cgroup *path* is: the home itself, or a cgroup below it."""
        while path:
            family = self._by_home.get(path)
            if family is not None:
                return family
            path = path.rpartition("/")[0]
        return None

    def of(self, pid: int) -> Family | None:
        """Return the family that process *pid* belongs to; None if it belongs to none."""
        if self._by_pid_ns and (family := self._by_pid_namespace(pid)) is not None:
            return family
        if (family := _only(self._by_cgroup_ns, pid, "cgroup")) is not None:
            return family
        found_family, start = self._lineage.get(pid, (None, None))
        if start is not None and process.is_same(pid, start):
            return found_family
        # If the parents of *pid* ended before we listened, only its mount namespace identifies its family.
        return _only(self._by_mnt_ns, pid, "mnt")

    def _by_pid_namespace(self, pid: int) -> Family | None:
        ns = procfs.namespace(pid, "pid")
        if ns is None or ns == self._host_pid_ns:
            return None
        family = self._by_pid_ns.get(ns)
        if family is None:
            outer = next((ns for ns in procfs.outer_pid_namespaces(pid) if ns in self._by_pid_ns), None)
            if outer is None:
                return None
            family, pid = self._by_pid_ns[outer], _ancestor_in(pid, outer)
        return None if self._is_guest(pid, family) else family

    def _is_guest(self, pid: int, family: Family) -> bool:
        """Return whether *pid* belongs to another container than *family*, but shares its pid namespace."""
        cgroup_ns = procfs.namespace(pid, "cgroup")
        if cgroup_ns in (None, self._host_cgroup_ns, family.cgroup_ns):
            return False
        return procfs.namespace(pid, "mnt") != family.mnt_ns

    @property
    def has_lineage(self) -> bool:
        """Return whether forks must be followed, because some family has no pid namespace of its own."""
        return len(self._by_pid_ns) < len(self._by_home)

    def born(self, pid: int, parent: int) -> None:
        """Note that *parent* has forked *pid*."""
        known = self._lineage.get(parent)
        if known is None:
            self._lineage.pop(pid, None)
            return
        self._lineage[pid] = (known[0], process.start_time(pid))
        if len(self._lineage) > self._prune_at:
            self.mark_ended()

    def entered(self, pid: int, family: Family) -> None:
        """Note that *pid* is in the home of *family*, so that its later children belong there, too."""
        if family.pid_ns is None:
            self._lineage[pid] = (family, process.start_time(pid))

    def lose(self, pid: int) -> None:
        """Forget *pid*: its number belongs to another process now."""
        self._lineage.pop(pid, None)

    def mark_ended(self) -> None:
        """Find the processes that have ended, because the kernel's events are not asked for exits.

        They stay known for a while: events about their forks may still come.
        """
        alive = set(procfs.everybody())
        self.ended = {
            pid: entry
            for pid, entry in self._lineage.items()
            if pid not in alive or entry[1] is None or not process.is_same(pid, entry[1])
        }
        self._prune_at = 2 * len(self._lineage)

    def forget(self, ended: dict[int, tuple[Family, int | None]]) -> None:
        """Forget *ended* processes: all of their forks have been reported."""
        if not ended:
            return
        self._lineage = {pid: entry for pid, entry in self._lineage.items() if ended.get(pid) is not entry}
        if self.ended is ended:
            self.ended = {}
        self._prune_at = max(_PRUNE, 2 * len(self._lineage))


def _only(known: dict[int, list[Family]], pid: int, name: str) -> Family | None:
    """Return the family in *known* whose *name* namespace *pid* is in; None if none or several are in it."""
    ns = procfs.namespace(pid, name) if known else None
    found = known.get(ns, []) if ns is not None else []
    return found[0] if len(found) == 1 else None


def _ancestor_in(pid: int, pid_ns: int) -> int:
    """Return the nearest ancestor of *pid* whose pid namespace is *pid_ns*; 0 where there is none."""
    for _ in range(_DEEPEST):
        pid = procfs.parent_of(pid)
        if not pid or procfs.namespace(pid, "pid") == pid_ns:
            return pid
    return 0
