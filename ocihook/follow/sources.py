# SPDX-License-Identifier: Apache-2.0
"""The agent's sources of process events: the process connector, and the tracepoint of cgroup moves."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from ocihook import native
from ocihook.errors import BedeError
from ocihook.follow import connector
from ocihook.follow.follower import Follower
from ocihook.follow.moves import Moves
from ocihook.journal import WARNING, complain, report
from ocihook.loop import Loop

#: seconds to wait after events, so that more gather: a fork storm then does not cost a wake-up for each fork
PAUSE = 0.01
RESCAN_PAUSE = 1.0  #: seconds between two looks at all processes while events go on being lost


class Sources:
    """Feeds a follower from the kernel's events. *before* is called between reading and acting on them.

    *before* reads the hooks' messages. A hook sends its message before its container's processes cause
    events, so whoever reads the events first, and then the messages, knows every container in the events.
    """

    def __init__(self, loop: Loop, follower: Follower, before: Callable[[], None]) -> None:
        self._loop = loop
        self._follower = follower
        self._before = before
        self._connector: socket.socket | None = None
        self._process_events: native.ProcessEvents | None = None
        self._moves: Moves | None = None
        self._listening: tuple[bool, bool] | None = None
        self._rescan_due = False
        self._not_before = 0.0

    def subscribe(self) -> None:
        """Begin to listen. This needs CAP_NET_ADMIN, and must be called before there are threads."""
        pending = connector.start()
        self._loop.add(pending.fileno(), lambda: self._subscribed(pending))
        try:
            self._moves = Moves()
        except OSError as error:
            report(f"moves between cgroups are not seen: {error}", "not_heard", WARNING)
        else:
            self._loop.add(self._moves.fileno(), self._moved)

    def adjust(self) -> None:
        """Subscribe to the events that the present containers need; to none if there are no containers."""
        discovers = self._follower.discovery.possible
        wanted = (bool(len(self._follower.families)) or discovers, discovers)
        if self._process_events is not None and wanted != self._listening:
            self._process_events.filter(forks=wanted[0], execs=wanted[1])
            before, self._listening = self._listening, wanted
            if wanted[0] and not (before and before[0]):
                self.rescan()  # no event has reported the forks that happened before

    def rescan(self) -> None:
        """Schedule one check of all processes, unless one is scheduled already."""
        if not self._rescan_due:
            self._rescan_due = True
            self._loop.after(max(self._not_before - time.monotonic(), 0), self._rescan)

    def close(self) -> None:
        """Stop listening."""
        if self._connector is not None:
            self._connector.close()
        if self._moves is not None:
            self._moves.close()

    def _subscribed(self, pending: connector.Pending) -> None:
        self._loop.remove(pending.fileno())
        try:
            self._connector = pending.finish()
        except BedeError as error:
            complain(error, "not_heard")
            self.rescan()
            return
        self._process_events = native.ProcessEvents(self._connector.fileno())
        self.adjust()
        self._loop.add(self._connector.fileno(), self._born)
        self.rescan()

    def _born(self) -> None:
        assert self._process_events is not None
        assert self._connector is not None
        self._loop.pause(self._connector.fileno(), PAUSE)
        families = self._follower.families
        ended = families.ended
        events, lost = self._process_events.read()
        self._take(events, lost)
        if len(events) < self._process_events.AT_ONCE:
            families.forget(ended)  # the queue is empty now, so no event about their forks can still come

    def _moved(self) -> None:
        assert self._moves is not None
        self._loop.pause(self._moves.fileno(), PAUSE)
        self._take(*self._moves.read())

    def _take(self, events: list[native.Event], lost: bool) -> None:
        self._before()
        self._follower.handle(events)
        if lost:
            self.rescan()

    def _rescan(self) -> None:
        self._rescan_due = False
        # A rescan is slow, so events may be lost meanwhile, which demands another rescan: wait before that.
        self._not_before = time.monotonic() + RESCAN_PAUSE
        self._before()
        self._follower.rescan()
        if self._process_events is None:
            # without the connector no event about their forks can come
            self._follower.families.forget(self._follower.families.ended)
