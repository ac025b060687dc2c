# SPDX-License-Identifier: Apache-2.0
"""How often the API server is asked for what can wait: a burst at once, and then so many a second.

Thousands of pods that are made at once need the API server for themselves. What can wait is spread over the
time after them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

#: Requests a second in the long run, and at once, as Kubernetes' own controllers limit themselves by default.
RATE, BURST = 20.0, 100.0


class Pace:
    """Gives turns, in the order in which they are asked for. One thread uses it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._turns: dict[str, float] = {}
        self._next = 0.0  # when the turn after those that have been given would be, without a burst

    def __len__(self) -> int:
        """Return how many turns have been given and not been used."""
        return len(self._turns)

    def wait(self, name: str = "") -> float:
        """Return the seconds until it is the turn of *name*; 0 if that is now, and has been used by this."""
        now = self._now()
        turn = self._turns.pop(name, None)
        if turn is None:
            turn = self._next = max(self._next, now - BURST / RATE) + 1 / RATE
        if turn > now:
            self._turns[name] = turn
        return max(0.0, turn - now)

    def keep(self, names: Collection[str]) -> None:
        """Forget the turns of all but these."""
        self._turns = {name: turn for name, turn in self._turns.items() if name in names}
