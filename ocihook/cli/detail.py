# SPDX-License-Identifier: Apache-2.0
"""`--verbose`: shows which kernel and state files are read and written, and where an error comes from."""

import sys
import traceback

from ocihook import fs
from ocihook.errors import printable

HELP = "print to standard error each file that is read or written, and where an error comes from"
_LONGEST = 160


def on() -> None:
    """Print from now on every file that :mod:`ocihook.fs` reads or writes."""
    fs.recorder = _tell


def off() -> None:
    """Stop printing."""
    if fs.recorder is _tell:
        fs.recorder = None


def of(error: BaseException) -> None:
    """Print where *error* comes from, if --verbose is on."""
    if fs.recorder is _tell:
        for line in "".join(traceback.format_exception(error)).splitlines():
            _print(line)


def _tell(op: str, path: str, data: str) -> None:
    text = " ".join(data.split())
    more = "…" if len(text) > _LONGEST else ""
    _print(f"{op} {path}: {text[:_LONGEST]}{more}")


def _print(line: str) -> None:
    # The content of a file may be from a container.
    print(f"bede: detail: {printable(line)}", file=sys.stderr)
