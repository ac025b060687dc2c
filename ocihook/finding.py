# SPDX-License-Identifier: Apache-2.0
"""One fact, what it means for bounds, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

GOOD, NOTE, WARN, ROOT, BAD = "good", "note", "warn", "root", "bad"


class Finding(NamedTuple):
    """A fact of one *topic*."""

    topic: str  #: what it is about: "memory", "cgroup", "kernel", "engine", "bede"
    name: str  #: of the thing looked at
    #: GOOD; NOTE: good to know; WARN: works less well; ROOT: in the way of another user than root, or hidden
    #: from it; BAD: no bound can be held
    verdict: str
    fact: str
    remedy: str = ""
    fix: Callable[[], None] | None = None  #: does what the remedy says; raises OSError, BedeError


def of_error(topic: str, name: str, error: Exception) -> Finding:
    """A BAD finding from an error, with its hint as the remedy."""
    return Finding(topic, name, BAD, str(error), getattr(error, "hint", ""))
