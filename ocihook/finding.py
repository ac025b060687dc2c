# SPDX-License-Identifier: Apache-2.0
"""One fact, what it means for bounds, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

GOOD, NOTE, WARN, ROOT, BAD = "good", "note", "warn", "root", "bad"


class Finding(NamedTuple):
    """A fact of one *topic*."""

    topic: str  #: what the fact is about, such as "memory"
    name: str  #: the name of the part that was examined
    #: GOOD; NOTE: good to know; WARN: works less well; ROOT: prevents or hidden from users other than root;
    #: BAD: no bound can be held
    verdict: str
    fact: str
    remedy: str = ""
    fix: Callable[[], None] | None = None  #: carries the remedy out; raises OSError, BedeError


def of_error(topic: str, name: str, error: Exception) -> Finding:
    """Return a BAD finding from *error*, with its hint as the remedy."""
    return Finding(topic, name, BAD, str(error), getattr(error, "hint", ""))
