# SPDX-License-Identifier: Apache-2.0
"""What has to be looked at, each once however often it was put there."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

from ocihook.cluster.watching import Backoff

Name = TypeVar("Name", bound=Hashable)


class Work(Generic[Name]):
    """A queue that threads put names into, and one thread takes them out of."""

    def __init__(self) -> None:
        self._ready: dict[Name, None] = {}  # in the order in which they came
        self._later: list[tuple[float, int, Name]] = []  # (due, a number that no other has, name)
        self._numbers = itertools.count()  # names themselves may have no order
        self._due: dict[Name, float] = {}
        self._backoffs: dict[Name, Backoff] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Return how many names can be taken at once."""
        with self._changed:
            return len(self._ready)

    def put(self, name: Name) -> None:
        """Have *name* looked at soon."""
        with self._changed:
            self._ready[name] = None
            self._changed.notify()

    def after(self, seconds: float, name: Name) -> None:
        """Have *name* looked at in *seconds*, or when it is due already if that is sooner."""
        due = time.monotonic() + seconds
        with self._changed:
            if self._due.get(name, due + 1) <= due:
                return
            self._due[name] = due
            heapq.heappush(self._later, (due, next(self._numbers), name))
            self._changed.notify()

    def failed(self, name: Name) -> None:
        """Have *name* looked at again, later after each failure in a row."""
        self.after(self._backoffs.setdefault(name, Backoff()).failed(), name)

    def worked(self, name: Name) -> None:
        """Forget the failures of *name*."""
        self._backoffs.pop(name, None)

    def take(self) -> Name:
        """Return the next name; wait until there is one."""
        with self._changed:
            while True:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    due, _, name = heapq.heappop(self._later)
                    if self._due.get(name) == due:  # or it became due sooner
                        del self._due[name]
                        self._ready.setdefault(name)
                if self._ready:
                    name = next(iter(self._ready))
                    del self._ready[name]
                    return name
                self._changed.wait(self._later[0][0] - now if self._later else None)
