# SPDX-License-Identifier: Apache-2.0
"""Reads single key strokes from a terminal, whose old settings are always restored."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator
from types import FrameType, TracebackType

ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
PAGES = {"5~": "page-up", "6~": "page-down"}
#: signals that wake a reader, as keys do
SIGNALS = (signal.SIGWINCH, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTSTP)


def parse(text: str) -> list[str]:
    """Return the keys in a terminal's input: characters, and names such as "up".

    Leave out other sequences.
    """
    found = []
    while text:
        key, text = text[0], text[1:]
        if key == "\033" and text[:1] in ("[", "O"):
            end = next((at for at, char in enumerate(text[1:], 1) if "@" <= char <= "~"), len(text) - 1)
            sequence, text = text[1 : end + 1], text[end + 1 :]
            named = ARROWS.get(sequence) or PAGES.get(sequence)
            found += [named] if named else []
        elif key.isprintable() or key == "\x03":
            found.append(key)
    return found


class Keys:
    """Reads keys of the terminal *fd* without echo, and receives signals. A context manager."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.signals: set[int] = set()  #: received ones that end or stop the program, so not SIGWINCH

    def __enter__(self) -> Keys:
        self._stack = contextlib.ExitStack()
        try:
            self._stack.enter_context(_unbuffered(self.fd))
            self._wake = self._stack.enter_context(_wakeups())
            for number in SIGNALS:
                self._stack.callback(signal.signal, number, signal.signal(number, self._came))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGWINCH:
            self.signals.add(number)

    def wait(self, seconds: float) -> list[str]:
        """Return the keys pressed within *seconds*; none also if a signal came, or the terminal is gone."""
        ready, _, _ = select.select([self.fd, self._wake], [], [], max(seconds, 0.0))
        if self._wake in ready:
            os.read(self._wake, 4096)
        if self.fd not in ready:
            return []
        try:
            data = os.read(self.fd, 1024)
        except OSError:
            data = b""
        if not data:
            self.signals.add(signal.SIGHUP)
        return parse(data.decode("utf-8", "replace"))


@contextlib.contextmanager
def _unbuffered(fd: int) -> Iterator[None]:
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal may be gone
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _wakeups() -> Iterator[int]:
    """Make signals readable on a descriptor, which is the context's value, and undo that at the end."""
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)
