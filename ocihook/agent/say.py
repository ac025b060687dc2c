"""What the agent says in the journal: one line an event that matters, however often it happens."""

from __future__ import annotations

import sys
import time

_PAUSE = 10.0  #: seconds in which one container's events are counted instead of told
_MOST = 1024  #: containers that are remembered


def say(line: str) -> None:
    """One line to the journal."""
    print(line, file=sys.stderr, flush=True)


class Speaker:
    """Lines about containers: the first at once, what follows within ten seconds as a number."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}

    def of(self, id: str, text: str) -> None:
        """Say *text* of the container *id*."""
        now = time.monotonic()
        since, more = self._last.get(id, (-_PAUSE, 0))
        if now - since < _PAUSE:
            self._last[id] = (since, more + 1)
            return
        if len(self._last) >= _MOST:
            self._last.clear()
        self._last[id] = (now, 0)
        note = f" (and {more} more like this since the last line)" if more else ""
        say(f"bede agent: container {id}: {text}{note}")
