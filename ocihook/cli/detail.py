# SPDX-License-Identifier: Apache-2.0
"""`--verbose`: which kernel and state files are read and written, and what an error came from."""

import sys
import traceback

from ocihook import fs
from ocihook.errors import printable

HELP = "tell on standard error what is read and written, and more of errors"
_LONGEST = 160


def on() -> None:
    """From now on tell of every file that :mod:`ocihook.fs` touches."""
    fs.recorder = _tell


def off() -> None:
    """Tell no more."""
    if fs.recorder is _tell:
        fs.recorder = None


def of(error: BaseException) -> None:
    """Where *error* comes from, if that is to be told."""
    if fs.recorder is _tell:
        for line in "".join(traceback.format_exception(error)).splitlines():
            _print(line)


def _tell(op: str, path: str, data: str) -> None:
    text = " ".join(data.split())
    more = "…" if len(text) > _LONGEST else ""
    _print(f"{op} {path}: {text[:_LONGEST]}{more}")


def _print(line: str) -> None:
    # Files have what containers put into them.
    print(f"bede: detail: {printable(line)}", file=sys.stderr)
