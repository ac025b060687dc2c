# SPDX-License-Identifier: Apache-2.0
"""What the terminal that a command prints on can do."""

import os
import shutil
import sys
from typing import TextIO

GOOD, WARN, BAD, DIM, BOLD, PLAIN = "\033[32m", "\033[33m", "\033[31m", "\033[2m", "\033[1m", "\033[0m"


def is_terminal(out: TextIO | None = None) -> bool:
    """Whether *out* (standard output) is one that can move its cursor."""
    return (out or sys.stdout).isatty() and os.environ.get("TERM", "dumb") != "dumb"


def colour(out: TextIO | None = None) -> bool:
    """Whether to print in colour there: only on a terminal, and not where NO_COLOR is set (no-color.org)."""
    return is_terminal(out) and not os.environ.get("NO_COLOR")


def painted(text: str, how: str, out: TextIO | None = None) -> str:
    """*text* in colour *how*, where there is colour."""
    return f"{how}{text}{PLAIN}" if how and colour(out) else text


def width(out: TextIO | None = None) -> int:
    """Columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns if is_terminal(out) else 80


def room() -> int | None:
    """Columns that a line on standard output may have; None: any number, for no terminal shows it."""
    return width() if is_terminal() else None
