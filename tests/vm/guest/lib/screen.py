# SPDX-License-Identifier: Apache-2.0
"""Runs a program on a pseudo terminal, presses keys and reads its screen, as far as Rich and bede use one."""

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

from helpers import DEADLINE, wait_until

SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[()][A-Z0-9]")


class Screen:
    """COMMAND on a pseudo terminal of *width* × *height*; a context manager that ends it."""

    def __init__(self, *command, width=80, height=24, env=None):
        self.width, self.height = width, height
        self.master, self.slave = os.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(self.slave)
        self.alternate = False  #: whether the alternate screen is on
        self.hidden = False  #: whether the cursor is hidden
        self.said = ""  #: everything that was written
        self._rest = ""
        self._clear()
        self.process = subprocess.Popen(
            command,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=dict(os.environ, TERM="xterm-256color", LANG="C.UTF-8") | (env or {}),
        )

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def _clear(self):
        self.cells = [[" "] * self.width for _ in range(self.height)]
        self.row = self.column = 0

    def resize(self, width, height):
        """Change the terminal's size; the kernel signals that to the program."""
        self.width, self.height = width, height
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self._clear()

    def press(self, keys):
        """Type *keys*."""
        os.write(self.master, keys.encode())

    def signal(self, number):
        """Send the program a signal."""
        self.process.send_signal(number)

    def read(self, seconds=0.05):
        """Read output for *seconds*. Returns the screen as lines."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.master], [], [], left)[0]:
                break
            with contextlib.suppress(OSError):
                self._take(os.read(self.master, 65536).decode("utf-8", "replace"))
        return ["".join(cells).rstrip() for cells in self.cells]

    def _take(self, text):
        self.said += text
        text, self._rest = self._rest + text, ""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = SEQUENCE.match(text, at)
                if found is None:
                    self._rest = text[at:]  # the rest of this sequence has not come yet
                    return
                self._obey(found.group(1) or "", found.group(2) or "")
                at = found.end()
                continue
            self._put(text[at])
            at += 1

    def _put(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row = min(self.row + 1, self.height - 1)
        elif char.isprintable() and self.row < self.height and self.column < self.width:
            self.cells[self.row][self.column] = char
            self.column += 1

    def _obey(self, numbers, letter):
        if letter == "H":
            self.row = self.column = 0
        elif letter == "J" or (letter in "hl" and numbers == "?1049"):
            self._clear()
        if letter in "hl" and numbers == "?1049":
            self.alternate = letter == "h"
        elif letter in "hl" and numbers == "?25":
            self.hidden = letter == "l"

    def until(self, what, condition):
        """The screen's lines once *condition* is true of them; else fails and says *what* is missing."""
        found = []

        def there():
            found[:] = self.read()
            return condition(found)

        try:
            wait_until(what, there)
        except AssertionError as error:
            what = f"{error}; its exit status: {self.process.poll()}\n"
            raise AssertionError(what + "\n".join(found)) from None
        return list(found)

    def ended(self, seconds=DEADLINE):
        """Wait for the program to end by itself. Returns its exit status."""
        wait_until("it ends", lambda: self.read(0.02) and self.process.poll() is not None, seconds)
        self.read()
        return self.process.returncode

    @property
    def restored(self):
        """Whether the terminal is as it was before."""
        return (self.alternate, self.hidden, termios.tcgetattr(self.slave)) == (False, False, self.before)


#: ways to end a full-screen program, and the exit status expected of each
ENDS = ((lambda s: s.press("q"), 0), (lambda s: s.press("\x03"), 0))
ENDS += ((lambda s: s.signal(signal.SIGTERM), 128 + signal.SIGTERM),)
