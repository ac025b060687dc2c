# SPDX-License-Identifier: Apache-2.0
"""The capabilities of the terminal that a command prints on."""

import os
import shutil
import sys
from typing import TextIO

GOOD, WARN, BAD, DIM, BOLD, PLAIN = "\033[32m", "\033[33m", "\033[31m", "\033[2m", "\033[1m", "\033[0m"


def is_terminal(out: TextIO | None = None) -> bool:
    """Return whether *out* (default: standard output) is a terminal that can move its cursor."""
    return (out or sys.stdout).isatty() and os.environ.get("TERM", "dumb") != "dumb"


def colour(out: TextIO | None = None) -> bool:
    """Return whether to print in colour: only on a terminal, and not if NO_COLOR is set (no-color.org)."""
    return is_terminal(out) and not os.environ.get("NO_COLOR")


def painted(text: str, how: str, out: TextIO | None = None) -> str:
    """Return *text* in colour *how* if *out* gets colours, else *text* as it is."""
    return f"{how}{text}{PLAIN}" if how and colour(out) else text


def width(out: TextIO | None = None) -> int:
    """Return the number of columns of the terminal; 80 if there is none."""
    return shutil.get_terminal_size((80, 24)).columns if is_terminal(out) else 80


def room() -> int | None:
    """Return how many columns a line on standard output may have; None if it is no terminal: any number."""
    return width() if is_terminal() else None
