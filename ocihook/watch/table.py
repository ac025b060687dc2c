# SPDX-License-Identifier: Apache-2.0
"""Rows of containers for people (a table) and for programs (JSON, CSV). Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from ocihook.cgroup.names import escaped
from ocihook.control.status import Status
from ocihook.errors import printable
from ocihook.watch import naming
from ocihook.watch.counters import Counters
from ocihook.watch.snapshot import Row

COLUMNS = (
    "CONTAINER",
    "NAME",
    "BOUND",
    "LOCAL",
    "%",
    "FAR",
    "DEMOTED/s",
    "PROMOTED/s",
    "HITS",
    "PRESSURE",
    "EVENTS",
)
_UNITS = "KMGTPE"
#: columns of words; the others are numbers, which are aligned to the right
_WORDS = frozenset(("CONTAINER", "NAME", "EVENTS"))
_NAMES = ("CONTAINER", "NAME")  # the columns of words that may be cut
#: (letter on a narrow screen, word on a wide one), the worst event first
EVENTS = (
    ("x", "killed", "oom_kill"),
    ("s", "stalls", "stalls"),
    ("m", "max", "max"),
    ("o", "over", "over"),
    ("h", "high", "high"),
)


def size(amount: float | None) -> str:
    """Return *amount* bytes in at most five columns: ``512K``, ``31.6M``, ``1.25T``; "-" for None."""
    if amount is None:
        return "-"
    if amount < 1024:
        return "0" if amount < 512 else "1K"  # memory comes in pages
    value = amount / 1024
    unit = 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    digits = 0 if value >= 99.95 or unit == 0 else 1 if value >= 9.995 or unit == 1 else 2
    text = f"{value:.{digits}f}"
    if "." in text and not text.rpartition(".")[2].strip("0"):
        text = text.partition(".")[0]
    return text + _UNITS[unit]


def per_cent(value: float | None) -> str:
    """Return *value* without a sign: ``97.7``, ``0``, ``100``; "-" for None."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 99.95 or value < 0.05 else f"{value:.1f}"


def hits(container: Status) -> str:
    """Return how good the placement is: ``84/87``; "-" if nobody measures it.

    84 % of the memory in use is local, by how often it is used, and 87 % could be under the bound.
    """
    if container.hits_local is None or container.hits_best is None:
        return "-"
    return f"{100 * container.hits_local:.0f}/{100 * container.hits_best:.0f}"


def events(counts: Counters, narrow: bool = False) -> str:
    """Return the events that deserve attention, the worst first; "-" if there are none."""
    seen = []
    for letter, word, name in EVENTS:
        number = getattr(counts, name)
        if number:
            text = size(number) if name == "over" else count(number)
            seen.append(f"{text}{letter}" if narrow else f"{word} {text}")
    return (" " if narrow else ", ").join(seen) or "-"


def count(number: int) -> str:
    """Return *number* in four columns: ``176``, ``9999``, ``12k``, ``3m``."""
    for unit in ("", "k", "m", "g"):
        if number < 10000:
            return f"{number}{unit}"
        number //= 1000
    return f"{number}t"


def cells(row: Row, id: str) -> dict[str, str]:
    """Return the text of each of :data:`COLUMNS`; *id* is unique among the rows."""
    pressure = row.counters.pressure
    return {
        "CONTAINER": id,
        "NAME": printable(row.container.name) or "-",
        "BOUND": size(row.bound),
        "LOCAL": size(row.local),
        "%": per_cent(row.share),
        "FAR": size(row.far),
        "DEMOTED/s": size(row.demoting),
        "PROMOTED/s": size(row.promoting),
        "HITS": hits(row.container),
        "PRESSURE": per_cent(pressure.some if pressure else None),
        "EVENTS": events(row.counters),
    }


def lines(rows: Sequence[Row], widths: dict[str, int] | None = None, room: int | None = None) -> list[str]:
    """Return a head, and a line for each container.

    *room* is the longest line, for which names are cut; None: any length. *widths* are the least widths of
    the columns, and are enlarged in place: pass them again for further lines below.
    """
    least = widths if widths is not None else {}
    ids = naming.ids([row.container for row in rows])
    body = [cells(row, id) for row, id in zip(rows, ids, strict=True)]
    if room is not None:
        _narrow(body, least, room)
    table = [dict(zip(COLUMNS, COLUMNS, strict=True)), *body]
    for name in COLUMNS:
        least[name] = _width(table, least, name)

    def placed(line: dict[str, str]) -> str:
        return "  ".join(
            text.ljust(least[name]) if name in _WORDS else text.rjust(least[name])
            for name, text in line.items()
        ).rstrip()

    return [placed(line) for line in table]


def _width(table: Sequence[dict[str, str]], least: dict[str, int], name: str) -> int:
    return max(least.get(name, 0), len(name), *(len(line[name]) for line in table))


def _narrow(body: Sequence[dict[str, str]], least: dict[str, int], room: int) -> None:
    """Cut the names of the containers of *body* until a line has at most *room* characters."""
    over = sum(_width(body, least, name) for name in COLUMNS) + 2 * (len(COLUMNS) - 1) - room
    if over <= 0:
        return
    columns = naming.narrowed([[line[name] for line in body] for name in _NAMES], over)
    for name, texts in zip(_NAMES, columns, strict=True):
        least.pop(name, None)
        for line, text in zip(body, texts, strict=True):
            line[name] = text


def record(row: Row) -> dict[str, Any]:
    """Return the row for JSON: bytes, bytes a second, pressure in per cent and microseconds.

    None, which becomes null, means "not counted".
    """
    counts = row.counters
    pressure = counts.pressure
    return {
        "time": round(row.time, 3),
        **{name: getattr(row.container, name) for name in ("id", "name", "cgroup", "backend")},
        "bound": row.bound,
        "local": row.local,
        "far": row.far,
        "demoted": counts.demoted,
        "promoted": counts.promoted,
        "steered": counts.steered_bytes,
        "promotion_denied": counts.promotion_denied,
        "over": counts.over,
        "demoted_per_second": _rounded(row.demoting),
        "promoted_per_second": _rounded(row.promoting),
        "steered_per_second": _rounded(row.steering),
        "pressure_some": pressure.some if pressure else None,
        "pressure_full": pressure.full if pressure else None,
        "pressure_some_us": pressure.some_us if pressure else None,
        "pressure_full_us": pressure.full_us if pressure else None,
        "high": counts.high,
        "max": counts.max,
        "oom_kill": counts.oom_kill,
        "stalls": counts.stalls,
        "fence_events": counts.fence_events,
        "overshoot": row.overshoot,
        "exchanged": row.container.exchanged,
        "vain": row.container.vain,
        "mover_us": row.container.mover_us,
        "hits_local": row.container.hits_local,
        "hits_best": row.container.hits_best,
    }


#: the columns of ``bede stats --csv``, which are the names of :func:`record`
CSV = (
    *("time", "id", "name", "cgroup", "backend", "bound", "local", "far", "demoted", "promoted", "steered"),
    *("promotion_denied", "over", "demoted_per_second", "promoted_per_second", "steered_per_second"),
    *("pressure_some", "pressure_full", "pressure_some_us", "pressure_full_us"),
    *("high", "max", "oom_kill", "stalls", "fence_events", "overshoot"),
    *("exchanged", "vain", "mover_us", "hits_local", "hits_best"),
)


def csv_line(values: Sequence[Any]) -> str:
    """Return one line of CSV with its newline. None becomes empty, and unprintable characters are escaped."""
    out = io.StringIO()
    text = [escaped(value) if isinstance(value, str) else value for value in values]
    csv.writer(out, lineterminator="\n").writerow(text)
    return out.getvalue()


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)
