# SPDX-License-Identifier: Apache-2.0
"""Ends a program whose main loop hangs, so that the cluster starts it again."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator

from ocihook.errors import EXIT_OUTPUT, BedeError

#: Seconds that a step of a loop's turn may take. A request is given up after 35, one to the agent after 60.
MOST = 300.0


class Pulse:
    """Watches the turns of one loop, in a thread of its own."""

    def __init__(self, program: str, most: float = MOST) -> None:
        self._program, self._most = program, most
        self._began: float | None = None  # the step, by the monotonic clock; None between turns
        self._thread = 0  # whose turn it is

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="pulse", daemon=True).start()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """End the program if a step of the block takes too long."""
        self._thread, self._began = threading.get_ident(), time.monotonic()
        try:
            yield
        finally:
            self._began = None

    def beat(self) -> None:
        """Begin the next step, if this thread has a turn. Many slow requests are no loop that hangs."""
        if self._began is not None and threading.get_ident() == self._thread:
            self._began = time.monotonic()

    def _watch(self) -> None:
        while True:
            time.sleep(self._most / 10)
            began = self._began
            if began is not None and time.monotonic() - began > self._most:
                hangs = BedeError(f"the main loop has hung for {self._most:.0f} s", "It is started again")
                print(hangs.line(self._program), file=sys.stderr, flush=True)
                os._exit(EXIT_OUTPUT)
