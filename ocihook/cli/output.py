# SPDX-License-Identifier: Apache-2.0
"""Output files of commands, and errors in writing them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Any, TextIO

from ocihook.errors import AccessError, BedeError, InputError, OutputError

STANDARD = "standard output"
#: errors that are not about the name that the user gave
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def failed(name: str, error: OSError, left: str = "") -> BedeError:
    """Return the error to report for *error* at the file *name*; *left* says what the file contains now."""
    if isinstance(error, PermissionError):
        return AccessError(f"{name} may not be written", left)
    what = f"{name} cannot be written: {error.strerror or error}"
    if error.errno in _NO_ROOM:
        return OutputError(what, left or "Make room there, or write elsewhere")
    return InputError(what, left)


class Standard:
    """A text stream in place of standard output, whose errors name it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.broken = False  #: whether a write has failed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write *text*. Raises OutputError, BrokenPipeError."""
        self._done(self.stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream. Raises OutputError, BrokenPipeError."""
        self._done(self.stream.flush)

    def _done(self, call: Callable[..., object], *args: str) -> None:
        try:
            call(*args)
        except OSError as error:
            self.broken = True
            if isinstance(error, BrokenPipeError):
                raise  # whoever reads the output has gone
            raise failed(STANDARD, error) from error

    def give_up(self) -> None:
        """Keep the interpreter from writing, and complaining, once more at exit if the output is broken."""
        if self.broken:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.stream.fileno())
            os.close(null)


class Lines:
    """Writes lines to a descriptor; the last line is complete even if the disk is full."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.count = 0  #: written lines

    def write(self, text: str) -> None:
        """Write *text*, which is whole lines.

        If that fails, remove the part that was written; raise OSError.
        """
        data = text.encode("utf-8", "replace")
        done = 0
        try:
            while done < len(data):
                done += os.write(self.fd, data[done:])
        except OSError:
            whole = data.rfind(b"\n", 0, done) + 1
            self.count += data.count(b"\n", 0, whole)
            self._take_back(done - whole)
            raise
        self.count += data.count(b"\n")

    def _take_back(self, size: int) -> None:
        """Cut off the last *size* bytes, if this is a file and nobody has written after them."""
        with contextlib.suppress(OSError):
            found = os.fstat(self.fd)
            end = os.lseek(self.fd, 0, os.SEEK_CUR)
            if stat.S_ISREG(found.st_mode) and end == found.st_size:
                os.ftruncate(self.fd, end - size)
                os.lseek(self.fd, end - size, os.SEEK_SET)
