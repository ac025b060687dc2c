# SPDX-License-Identifier: Apache-2.0
"""The agent's event loop: calls functions when descriptors become readable or times come."""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable

READ = select.EPOLLIN


class Loop:
    """Calls functions until :meth:`stop`. Not thread-safe."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}
        self._times: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._running = False

    def add(self, fd: int, ready: Callable[[], None], events: int = READ) -> None:
        """Call *ready* whenever *fd* has one of *events*."""
        self._epoll.register(fd, events)
        self._ready[fd] = ready

    def remove(self, fd: int) -> None:
        """Stop watching *fd*. Call this before closing it."""
        if self._ready.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def pause(self, fd: int, seconds: float, events: int = READ) -> None:
        """Ignore *fd* for *seconds*."""
        self._epoll.modify(fd, 0)
        self.after(seconds, lambda: self._epoll.modify(fd, events) if fd in self._ready else None)

    def after(self, seconds: float, due: Callable[[], object]) -> None:
        """Call *due* once, in *seconds*."""
        heapq.heappush(self._times, (time.monotonic() + seconds, next(self._order), due))

    def stop(self) -> None:
        """Make :meth:`run` return after the present call."""
        self._running = False

    def run(self) -> None:
        """Call functions until :meth:`stop`."""
        self._running = True
        while self._running:
            wait = max(self._times[0][0] - time.monotonic(), 0.0) if self._times else -1
            for fd, _ in self._epoll.poll(wait):
                ready = self._ready.get(fd)
                if ready is not None and self._running:
                    ready()
            # Make only the calls that are due by now: the descriptors get their turn next.
            now = time.monotonic()
            while self._running and self._times and self._times[0][0] <= now:
                heapq.heappop(self._times)[2]()

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._epoll.close()
