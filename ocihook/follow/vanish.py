# SPDX-License-Identifier: Apache-2.0
"""Notices the end of a cgroup that the kernel bounds by itself: no hook announces it."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

from ocihook.follow.family import Families, Family
from ocihook.loop import Loop

_AGAIN = 1.0  #: seconds between checks whether an empty cgroup still exists ...
_LOOKS = 6  #: ... and their number; then it is forgotten, until a program is executed in it
_EVENTS = select.EPOLLPRI


class Vanish:
    """Removes families from *families* when their cgroups are removed, and calls *gone*."""

    def __init__(self, loop: Loop, families: Families, gone: Callable[[], None]) -> None:
        self._gone = gone
        self._loop = loop
        self._families = families

    def watch(self, family: Family) -> None:
        """Begin to watch the cgroup of *family*."""
        try:
            fd = os.open("cgroup.events", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=family.cgroup.fd)
        except OSError:
            self._families.remove(family.cgroup.path)
            return
        self._loop.add(fd, lambda: self._changed(family, fd), _EVENTS)

    def _changed(self, family: Family, fd: int) -> None:
        self._loop.remove(fd)
        self._look(family, fd, _LOOKS)

    def _look(self, family: Family, fd: int, more: int) -> None:
        try:
            empty = b"populated 0" in os.pread(fd, 4096, 0)
        except OSError:
            empty, more = True, 0
        if not empty:
            self._loop.add(fd, lambda: self._changed(family, fd), _EVENTS)
        elif more:
            # The empty cgroup is most likely about to be removed, which no event of the kernel reports.
            self._loop.after(_AGAIN, lambda: self._look(family, fd, more - 1))
        else:
            self._end(family, fd)

    def _end(self, family: Family, fd: int) -> None:
        os.close(fd)
        if self._families.at(family.cgroup.path) is family:
            self._families.remove(family.cgroup.path)
            self._gone()
