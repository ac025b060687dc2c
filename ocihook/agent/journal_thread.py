# SPDX-License-Identifier: Apache-2.0
"""The names of containers in what the agent says.

Their engines know them, and some are slow to answer, while the agent's loop waits for nobody. So what is to
be said waits in a queue; a thread asks for the names of all that waits there, and says it in its order.
"""

from __future__ import annotations

import queue
import threading
from typing import NamedTuple

from ocihook import journal
from ocihook.engines import names

_MOST = 8192  #: containers that are remembered
_PATIENCE = 4.0  #: seconds that the end waits for it: a little more than an engine is waited for


class _Line(NamedTuple):
    container: str
    line: journal.Line


class _Home(NamedTuple):
    container: str
    cgroup: str


class JournalThread:
    """Says what :mod:`say` is given, with names. A context manager: leaving says all that waits."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[_Line | _Home | None] = queue.SimpleQueue()
        self._homes: dict[str, str] = {}  # by id
        self._names: dict[str, str] = {}  # likewise, as they were last: an engine forgets what has ended
        self._thread = threading.Thread(target=self._run, name="voice", daemon=True)

    def __enter__(self) -> JournalThread:
        self._thread.start()
        journal.voice = self
        return self

    def __exit__(self, *exc: object) -> None:
        journal.voice = None
        self._waiting.put(None)
        self._thread.join(_PATIENCE)

    def know(self, container: str, cgroup: str) -> None:
        """*container* is in *cgroup*: its name is found now, for there may be nobody to ask later."""
        self._waiting.put(_Home(container, cgroup))

    def put(self, line: journal.Line) -> None:
        """Say *line* soon."""
        self._waiting.put(_Line(line.container, line))

    def _run(self) -> None:
        ended = False
        while not ended:
            waiting = [self._waiting.get()]
            while not self._waiting.empty():
                waiting.append(self._waiting.get())
            there = [one for one in waiting if one is not None]
            ended = len(there) < len(waiting)
            self._find([one for one in there if one.container])
            for one in there:
                if isinstance(one, _Line):
                    journal.tell(one.line, self._names.get(one.container, ""))

    def _find(self, waiting: list[_Line | _Home]) -> None:
        """Their names of now, of all by one question an engine."""
        for known in (self._homes, self._names):
            if len(known) >= _MOST:
                known.clear()
        self._homes |= {one.container: one.cgroup for one in waiting if isinstance(one, _Home)}
        asked = {id: self._homes[id] for one in waiting if (id := one.container) in self._homes}
        try:
            found = names.of(asked.items())
        except Exception:  # whatever an engine may do, a name is not worth a line
            return
        self._names |= {id: found[where] for id, where in asked.items() if where in found}
