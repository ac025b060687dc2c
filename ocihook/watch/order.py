# SPDX-License-Identifier: Apache-2.0
"""The sort order of the full-screen view. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ocihook.errors import InputError
from ocihook.watch.snapshot import Row


def _number(value: float | None) -> float:
    return -1.0 if value is None else value


#: key → (its letter, the value to sort by, whether the highest comes first); in the order of the columns
KEYS: dict[str, tuple[str, Callable[[Row], float | str], bool]] = {
    "name": ("n", lambda row: row.name.casefold(), False),
    "local": ("l", lambda row: row.local, True),
    "bound": ("b", lambda row: row.bound, True),
    "far": ("f", lambda row: row.far, True),
    "demoted": ("d", lambda row: _number(row.demoting), True),
    "promoted": ("p", lambda row: _number(row.promoting), True),
    "pressure": ("w", lambda row: row.counters.pressure.some if row.counters.pressure else -1.0, True),
    "overshoot": ("o", lambda row: row.overshoot / row.bound if row.bound else 0.0, True),
}
LETTERS = {letter: key for key, (letter, _, _) in KEYS.items()}


@dataclass
class Order:
    """A sort key, and whether the order is reversed."""

    key: str = "local"
    reversed: bool = False

    def sorted(self, rows: Sequence[Row]) -> list[Row]:
        """Return *rows* in this order; rows with equal values by name, so that they keep their places."""
        _, value, highest = KEYS[self.key]
        named = sorted(rows, key=lambda row: (row.name.casefold(), row.container.cgroup))
        return sorted(named, key=value, reverse=highest != self.reversed)

    def choose(self, key: str) -> None:
        """Sort by *key*; if that is the current key, reverse the order."""
        self.reversed = key == self.key and not self.reversed
        self.key = key

    def step(self, by: int) -> None:
        """Sort by the column that is *by* columns to the right."""
        names = list(KEYS)
        self.key, self.reversed = names[(names.index(self.key) + by) % len(names)], False

    @property
    def descending(self) -> bool:
        """Return whether the highest comes first."""
        return KEYS[self.key][2] != self.reversed


def parse(text: str) -> str:
    """Return the sort key whose name, beginning of a name, or letter is *text*. Raises InputError."""
    text = text.casefold()
    found = [LETTERS[text]] if text in LETTERS else [key for key in KEYS if text and key.startswith(text)]
    if len(found) != 1:
        raise InputError(f"no sort key is called {text[:40]!r}", f"One of {', '.join(KEYS)}")
    return found[0]
