# SPDX-License-Identifier: Apache-2.0
"""Adds the names of containers to the agent's journal lines.

Only the engines know the names, and some are slow to answer, but the agent's loop must not wait. So lines go
into a queue; a thread takes them from there, asks the engines for the names, and logs the lines in order.
"""

from __future__ import annotations

import queue
import threading
from typing import NamedTuple

from ocihook import journal
from ocihook.engines import names

_MOST = 8192  #: most containers whose cgroups and names are remembered; at this number all are forgotten
#: seconds for which an ending agent waits for this thread: 1 s more than engines get for an answer
_LONGEST_WAIT = 4.0


class _Line(NamedTuple):
    container: str
    line: journal.Line


class _Home(NamedTuple):
    container: str
    cgroup: str


class JournalThread:
    """Logs the lines of :mod:`ocihook.journal`, with names. A context manager: leaving logs all that wait."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[_Line | _Home | None] = queue.SimpleQueue()
        self._homes: dict[str, str] = {}  # cgroups by container id
        self._names: dict[str, str] = {}  # last known names by id: an engine forgets a container that ended
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def __enter__(self) -> JournalThread:
        self._thread.start()
        journal.writer = self
        return self

    def __exit__(self, *exc: object) -> None:
        journal.writer = None
        self._waiting.put(None)
        self._thread.join(_LONGEST_WAIT)

    def know(self, container: str, cgroup: str) -> None:
        """Look up the name of *container* now: later its engine may have forgotten it.

        *cgroup* is its cgroup.
        """
        self._waiting.put(_Home(container, cgroup))

    def put(self, line: journal.Line) -> None:
        """Queue *line* to be logged."""
        self._waiting.put(_Line(line.container, line))

    def _run(self) -> None:
        ended = False
        while not ended:
            waiting = [self._waiting.get()]
            while not self._waiting.empty():
                waiting.append(self._waiting.get())
            items = [item for item in waiting if item is not None]
            ended = len(items) < len(waiting)
            self._find([item for item in items if item.container])
            for item in items:
                if isinstance(item, _Line):
                    journal.tell(item.line, self._names.get(item.container, ""))

    def _find(self, waiting: list[_Line | _Home]) -> None:
        """Look up the current names of all containers in *waiting*, with one request to each engine."""
        for known in (self._homes, self._names):
            if len(known) >= _MOST:
                known.clear()
        self._homes |= {item.container: item.cgroup for item in waiting if isinstance(item, _Home)}
        asked = {id: self._homes[id] for item in waiting if (id := item.container) in self._homes}
        try:
            found = names.of(asked.items())
        except Exception:  # whatever goes wrong with an engine: a line without a name beats no line
            return
        self._names |= {id: found[where] for id, where in asked.items() if where in found}
