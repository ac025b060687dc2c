# SPDX-License-Identifier: Apache-2.0
"""Every child counts: a process of a bound container that is outside the container's cgroup is put back.

Events report that a process was forked, executed a program or was moved. They may be late, so its state is
read from the kernel's files. If it has ended meanwhile, there is nothing to do.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable, Iterable, Iterator

from ocihook import fs
from ocihook.cgroup import memory, path, procfs, tree
from ocihook.config import Config
from ocihook.errors import BedeError
from ocihook.follow.discover import Discovery
from ocihook.follow.family import Families, Family
from ocihook.journal import ERROR, WARNING, Reporter
from ocihook.native import Event

_ENTERS = 0.25  #: seconds that a runtime gets between a process's entry into namespaces and into the cgroup
_MOST_LEAVES = 256  #: most cgroups of a container that are tried if its home does not take a process


class Follower:
    """Puts processes back into their container's cgroup, unless *settings* exempt the cgroup they are in."""

    def __init__(
        self,
        families: Families,
        reporter: Reporter,
        settings: Config,
        later: Callable[[float, Callable[[], object]], None],
    ) -> None:
        self.families = families
        self.later = later  #: call later(seconds, function) to have the function called then
        self.report = reporter
        self.exempt = tuple(path.rstrip("/") for path in settings.exempt_cgroups)
        self.discovery = Discovery(settings)
        #: called with each family that no hook has announced
        self.on_found: Callable[[Family], None] = lambda family: None

    def handle(self, events: Iterable[Event]) -> None:
        """Check each process in *events* once."""
        seen: dict[int, Event] = {}
        for event in events:
            if event.kind == "fork" and self.families.has_lineage:
                self.families.born(event.pid, event.parent)
            before = seen.setdefault(event.pid, event)
            if event.parent and not before.parent:
                seen[event.pid] = event
        for event in seen.values():
            self._check_one(event.pid, event.parent, event.at_ns)

    def rescan(self) -> None:
        """Check every process of the host, after events were lost or before anybody listened."""
        self.families.mark_ended()
        for pid in procfs.everybody():
            if self.families.has_lineage:
                parent = procfs.parent_of(pid)
                if self.families.of(parent) is not None and self.families.of(pid) is None:
                    self.families.born(pid, parent)
            self._check_one(pid)

    def _check_one(self, pid: int, parent: int = 0, at_ns: int = 0, *, waited: bool = False) -> None:
        try:
            self.check(pid, parent, at_ns, waited=waited)
        except (OSError, BedeError) as error:
            self.report.of("", f"a process cannot be followed: {error}", "not_followed", WARNING)

    def check(self, pid: int, parent: int = 0, at_ns: int = 0, *, waited: bool = False) -> None:
        """Put *pid* back if it is outside; *at_ns* is when that may have begun, 0 if unknown.

        A process that enters from outside gets time to arrive, unless *waited* says that we have waited
        already.
        """
        where = procfs.cgroup_of(pid)
        if where is None:
            return
        home = self._home_of(where, pid, parent)
        if home is not None:
            self.families.entered(pid, home)
            return
        family = self.families.of(pid)
        if family is None or self._may_stay(where):
            return
        if not waited and self.families.of(procfs.parent_of(pid)) is not family:
            # Its parent is outside, as with `podman exec`: the runtime may be about to move it.
            self.later(_ENTERS, lambda: self._check_one(pid, at_ns=at_ns, waited=True))
            return
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return  # the process has ended, or *pid* is a thread, which is always in its process's cgroup
        try:
            self._bring_back(pid, pidfd, parent, at_ns)
        finally:
            os.close(pidfd)

    def _home_of(self, where: str, pid: int, parent: int) -> Family | None:
        home = self.families.home_of(where)
        if home is None and self.discovery.possible:
            for process in (pid, parent) if parent else (pid,):
                found = self.discovery.find(process)
                if found is not None and self.families.at(found.cgroup.path) is None:
                    self.families.add(found)
                    self.on_found(found)
                elif found is not None:
                    found.close()
            home = self.families.home_of(where)
        return home

    def _may_stay(self, where: str) -> bool:
        return any(where == path or where.startswith(path + "/") for path in self.exempt)

    def _bring_back(self, pid: int, pidfd: int, parent: int, at_ns: int) -> None:
        # Read these again: the pidfd is open now, and ended() below tells whether the pid meant this process.
        where, family = procfs.cgroup_of(pid), self.families.of(pid)
        if where is None or family is None or self.families.home_of(where) is not None:
            return
        if ended(pidfd):
            return
        error = self._put(pid, family, parent)
        if ended(pidfd):
            self._undo(pid)
            return
        if error is not None:
            if error.errno != errno.ESRCH:
                family.failed += 1
                self.report.of(
                    family.id,
                    f"a process in {where!a}, outside its cgroup, cannot be put back: {error.strerror}",
                    "not_returned",
                    ERROR,
                    pid=pid,
                )
            return
        charged = _charged(pid, where)
        outside = max(time.monotonic_ns() - at_ns, 0) / 1e9 if at_ns else 0.0
        family.returned += 1
        family.seconds += outside
        family.bytes += charged
        self.report.of(
            family.id,
            f"a process was outside its cgroup, in {where!a}, for {1000 * outside:.1f} ms, and is back;"
            f" at most {charged >> 10} KiB of it stay charged there",
            "returned",
            pid=pid,
            bytes=charged,
        )

    def _put(self, pid: int, family: Family, parent: int) -> OSError | None:
        """Move *pid* to the first cgroup of *family* that takes it.

        Return None, or the first error if none does.
        """
        first: OSError | None = None
        for fd in _targets(family, parent):
            try:
                fs.write("cgroup.procs", str(pid), dir_fd=fd)
                return None
            except OSError as error:
                if error.errno == errno.ESRCH:
                    return error
                first = first or error
            finally:
                os.close(fd)
        return first or OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _undo(self, pid: int) -> None:
        """Move the process with the number *pid* back if *pid* ended and was reused while we moved it."""
        self.families.lose(pid)
        where = procfs.cgroup_of(pid)
        home = self.families.home_of(where) if where else None
        if home is None or self.families.of(pid) is not None:
            return
        origin = procfs.cgroup_of(procfs.parent_of(pid))
        cgroup = path.open_below(origin) if origin else None
        if cgroup is None:
            return
        with cgroup:
            try:
                fs.write("cgroup.procs", str(pid), dir_fd=cgroup.fd)
            except OSError:
                return


def ended(pidfd: int) -> bool:
    """Return whether the process of *pidfd* has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _targets(family: Family, parent: int) -> Iterator[int]:
    """Yield descriptors of the cgroups to try for a process of *family*, the best first.

    The caller closes them. A cgroup that delegates controllers to its children cannot hold processes itself.
    """
    tried = set()
    for pid in (parent, family.pid):
        where = procfs.cgroup_of(pid) if pid else None
        if where is not None and family.contains(where) and where not in tried:
            tried.add(where)
            try:
                yield fs.open_below(family.cgroup.fd, where[len(family.cgroup.path) :])
            except OSError:
                continue
        if pid == parent and family.cgroup.path not in tried:
            tried.add(family.cgroup.path)
            yield os.dup(family.cgroup.fd)
    waiting = [""]
    for _ in range(_MOST_LEAVES):
        if not waiting:
            return
        below = waiting.pop(0)
        try:
            fd = fs.open_below(family.cgroup.fd, below)
        except OSError:
            continue
        waiting += reversed(tree.below(fd, below + "/"))
        if below:
            yield fd
        else:
            os.close(fd)


def _charged(pid: int, where: str) -> int:
    """Return the most bytes that *pid* can have charged to the cgroup *where*."""
    private = procfs.private_bytes(pid)
    cgroup = path.open_below(where)
    if cgroup is None:
        return private
    with cgroup:
        try:
            return min(private, memory.usage(cgroup.fd))
        except OSError:
            return private  # the root cgroup has no memory.current
