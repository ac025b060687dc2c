# SPDX-License-Identifier: Apache-2.0
"""What the machine's runner says on its status port."""

from dataclasses import dataclass

STDIN = "bede.stdin"  #: what a person types in `bede vm shell`
WINDOW = "bede.window"  #: "LINES COLUMNS" of that person's terminal, a line whenever they have changed
TO_MACHINE = (STDIN, WINDOW)
PORTS = ("bede.status", "bede.stdout", "bede.stderr", "bede.out", *TO_MACHINE)


@dataclass(frozen=True)
class Exit:
    """The command's status, and how many bytes it sent to each port before."""

    status: int
    stdout: int
    stderr: int
    out: int


class Status:
    """Reads the status port's lines as they come in."""

    def __init__(self) -> None:
        self.ready = False
        self.reboots = 0  #: that the command asked for
        self.reset = False  #: the machine began anew without being asked
        self.exit: Exit | None = None
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take in what was read; a line that makes no sense is a ValueError."""
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
