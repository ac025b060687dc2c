# SPDX-License-Identifier: Apache-2.0
"""Reads what the machine's runner writes to its status port."""

from dataclasses import dataclass

STDIN = "bede.stdin"  #: what a person types in `bede vm shell`
WINDOW = "bede.window"  #: a line "LINES COLUMNS" whenever the size of that person's terminal has changed
TO_MACHINE = (STDIN, WINDOW)
PORTS = ("bede.status", "bede.stdout", "bede.stderr", "bede.out", *TO_MACHINE)


@dataclass(frozen=True)
class Exit:
    """The command's status, and how many bytes it sent to each port."""

    status: int
    stdout: int
    stderr: int
    out: int


class Status:
    """Reads the status port's lines as they come in."""

    def __init__(self) -> None:
        self.ready = False
        self.reboots = 0  #: how many reboots the command has asked for
        self.reset = False  #: the machine has rebooted although the command did not ask for it
        self.exit: Exit | None = None
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Parse *data* from the port. Raises ValueError for a malformed line."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            word, *numbers = line.decode("ascii", "replace").split()
            if word == "ready" and not numbers:
                self.reset |= self.ready
                self.ready = True
            elif word == "reboot" and not numbers:
                self.ready = False
                self.reboots += 1
            elif word == "exit" and len(numbers) == 4:
                self.exit = Exit(*(int(number) for number in numbers))
            else:
                raise ValueError(f"not a status line: {line!r}")
