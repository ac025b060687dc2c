# SPDX-License-Identifier: Apache-2.0
"""Sends events in a thread of its own, so that bounds never wait for them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from ocihook.cluster.api import Api
from ocihook.cluster.controller import events
from ocihook.cluster.controller.pace import Pace
from ocihook.cluster.fields import Json
from ocihook.cluster.watching import Backoff, tell
from ocihook.errors import ClusterError

#: Events that may wait. Beyond this the oldest are dropped: no more than the API server takes in minutes.
MOST = 10_000


class Outbox:
    """Events that wait until they can be sent: warnings before all others."""

    def __init__(
        self, api: Api, pace: Pace | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._api = api
        self._pace = Pace() if pace is None else pace
        self._sleep = sleep
        self._warnings: deque[Json] = deque(maxlen=MOST)
        self._others: deque[Json] = deque(maxlen=MOST)
        self._some = threading.Semaphore(0)

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._warnings) + len(self._others)

    def put(self, event: Json) -> None:
        """Have *event* sent."""
        (self._warnings if event["type"] == "Warning" else self._others).append(event)
        self._some.release()

    def start(self) -> None:
        """Begin to send."""
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._some.acquire()
            if len(self):  # one may have been dropped
                self.send_one()

    def send_one(self) -> None:
        """Send the event whose turn it is, until the API server has taken it."""
        while wait := self._pace.wait():
            self._sleep(wait)
        event = (self._warnings or self._others).popleft()
        backoff, told = Backoff(), ""
        while True:
            try:
                return events.send(self._api, event)
            except ClusterError as error:
                if error.message != told:
                    tell(events.SOURCE, f"event on {event['metadata']['name']}: {error.message}")
                told = error.message
                self._sleep(backoff.failed())
