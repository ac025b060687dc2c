# SPDX-License-Identifier: Apache-2.0
"""Reads checkpoints. They come back from an API server, where others may have changed them."""

import math

from ocihook.errors import InputError

#: What a checkpoint is made of. JSON has these types and no others.
Json = dict[str, "Json"] | list["Json"] | str | float | int | bool | None

HINT = "Delete the checkpoint: what was learned begins anew"
#: of one number in a checkpoint; above it sums could become infinite
LARGEST = 1e18


def fields(raw: object, names: frozenset[str], version: int) -> dict[str, object]:
    """Return the fields of a checkpoint that has exactly *names* and this *version*. Raises InputError."""
    if not isinstance(raw, dict) or raw.keys() != names:
        raise InputError("a checkpoint has not the fields that Bede writes", HINT)
    if type(raw["version"]) is not int or raw["version"] != version:
        raise InputError("a checkpoint is of another version of Bede", HINT)
    return raw


def number(raw: object, low: float, high: float = LARGEST) -> float:
    """Return *raw* if it is a finite number from *low* to *high*. Raises InputError."""
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not low <= raw <= high:
        raise InputError("a number in a checkpoint is not one that Bede writes", HINT)
    return float(raw)


def rows(raw: object, width: int, most: int) -> list[list[object]]:
    """Return *raw* if it is a list of at most *most* lists with *width* elements each. Raises InputError."""
    if not isinstance(raw, list) or len(raw) > most:
        raise InputError("a checkpoint has no list of the length that Bede writes", HINT)
    if any(not isinstance(row, list) or len(row) != width for row in raw):
        raise InputError("a row of a checkpoint is not one that Bede writes", HINT)
    return raw


def factor(seconds: float, half_life: float) -> float:
    """Return by how much a weight grows if its time is *seconds* later: it doubles with each *half_life*.

    A weight so old that a float cannot hold it is 0.
    """
    return math.exp2(seconds / half_life)
