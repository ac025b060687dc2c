"""Notices when the cgroup of a family is gone that the kernel bounds by itself: no hook tells of its end."""

from __future__ import annotations

import os
import select

from ocihook.agent.family import Families, Family
from ocihook.agent.loop import Loop
from ocihook.cgroup import path

_AGAIN = 1.0  #: seconds until an empty cgroup is looked at again
_EVENTS = select.EPOLLPRI


class Vanish:
    """Removes families from *families* when their cgroups are removed."""

    def __init__(self, loop: Loop, families: Families) -> None:
        self._loop = loop
        self._families = families

    def watch(self, family: Family) -> None:
        """Begin to look after *family*."""
        try:
            fd = os.open("cgroup.events", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=family.cgroup.fd)
        except OSError:
            self._families.remove(family.cgroup.path)
            return
        home, inode = family.cgroup.path, family.cgroup.inode
        self._loop.add(fd, lambda: self._changed(fd, home, inode), _EVENTS)
        self._changed(fd, home, inode)

    def _changed(self, fd: int, home: str, inode: int) -> None:
        try:
            text = os.pread(fd, 4096, 0)
        except OSError:
            self._end(fd, home)
            return
        if b"populated 0" in text:
            self._loop.pause(fd, _AGAIN, _EVENTS)
            self._loop.after(_AGAIN, lambda: self._look(fd, home, inode))

    def _look(self, fd: int, home: str, inode: int) -> None:
        cgroup = path.reopen(home, inode)
        if cgroup is None:
            self._end(fd, home)
            return
        cgroup.close()
        self._changed(fd, home, inode)

    def _end(self, fd: int, home: str) -> None:
        self._loop.remove(fd)
        os.close(fd)
        self._families.remove(home)
