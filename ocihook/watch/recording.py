# SPDX-License-Identifier: Apache-2.0
"""The format of `bede record` and `bede plot`: CSV, a line for each container and instant. Pure."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ocihook import fs
from ocihook.cgroup import names
from ocihook.errors import InputError, printable
from ocihook.watch.snapshot import Row
from ocihook.watch.table import csv_line

#: column → its meaning
COLUMNS = {
    "time": "seconds since the epoch",
    "seconds": "since the recording began",
    "container": "id",
    "name": "as its engine calls it, if it does",
    "bound": "bytes",
    "local": "bytes",
    "far": "bytes",
    "demoted": "bytes since the container's start",
    "promoted": "likewise",
    "steered": "likewise: placed far at once, by a patched kernel",
    "waited": "microseconds in which some task waited for memory (memory.pressure), since its start",
    "cgroup": "its path, which no other container has at the same time",
}
HEADER = ",".join(COLUMNS)
LONGEST = 1 << 15  #: most characters of a line


class Point(NamedTuple):
    """One container at one instant: seconds, then bytes; None for what the kernel does not count."""

    seconds: float
    bound: int
    local: int
    far: int
    demoted: int | None
    promoted: int | None
    steered: int | None
    waited: int | None  #: microseconds for which tasks waited for memory, in total


@dataclass
class Series:
    """One container over time."""

    id: str
    name: str
    points: list[Point] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Return the container's name, else its short id."""
        return self.name or names.short(self.id)


@dataclass
class Recording:
    """One file: its containers in the order of their first lines."""

    name: str
    start: float = 0.0  #: seconds since the epoch
    series: list[Series] = field(default_factory=list)

    @property
    def end(self) -> float:
        """Return the seconds from the start to the last point."""
        return max((series.points[-1].seconds for series in self.series), default=0.0)


def line(row: Row, start: float) -> str:
    """Return *row* as a line of CSV; *start* is the monotonic clock at the start of the recording."""
    counts = row.counters
    waited = counts.pressure.some_us if counts.pressure else None
    who = (row.container.id, row.container.name)
    sizes = (row.bound, row.local, row.far, counts.demoted, counts.promoted, counts.steered_bytes, waited)
    return csv_line((f"{row.time:.4f}", f"{row.clock - start:.4f}", *who, *sizes, row.container.cgroup))


def parse(lines: Iterable[str], name: str) -> Recording:
    """Return the recording in the *lines* of file *name*. Raises InputError with the line's number."""
    found = Recording(name)
    by_cgroup: dict[tuple[str, str], Series] = {}
    number = 0
    for number, text in enumerate(lines, 1):
        where = f"{printable(name)}, line {number}"
        if number == 1:
            if text.rstrip("\r\n") != HEADER:
                raise InputError(f"{where}: not a recording", "`bede record` makes one")
            continue
        epoch, id, title, cgroup, point = _point(text, where)
        # Also by id: the path of a cgroup that was removed may be used again by another container.
        series = by_cgroup.get((id, cgroup))
        if series is None:
            found.start = found.start or epoch - point.seconds
            series = by_cgroup[id, cgroup] = Series(id, title)
            found.series.append(series)
        elif point.seconds < series.points[-1].seconds:
            raise InputError(f"{where}: time goes backwards")
        series.name = series.name or title
        series.points.append(point)
    if number == 0:
        raise InputError(f"{printable(name)} is empty", "`bede record` makes a recording")
    return found


def _point(text: str, where: str) -> tuple[float, str, str, str, Point]:
    hint = f"The columns are {HEADER}"
    if not text.endswith("\n"):
        raise InputError(f"{where}: the line is cut off", "Remove it, or record again")
    try:
        (words,) = csv.reader([text[:LONGEST]], strict=True)
        epoch, seconds, id, title, *sizes, cgroup = words
        point = Point(_seconds(seconds), *map(_size, sizes[:3]), *map(_count, sizes[3:]))
        return _seconds(epoch), id, title, cgroup, point
    except (ValueError, TypeError, csv.Error):
        raise InputError(f"{where}: not a line of a recording: {text[:60].rstrip()!a}", hint) from None


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or not 0 <= value < 1e12:
        raise ValueError(text)
    return value


def _size(text: str) -> int:
    value = fs.number(text)
    if value is None:
        raise ValueError(text)
    return value


def _count(text: str) -> int | None:
    return _size(text) if text else None
