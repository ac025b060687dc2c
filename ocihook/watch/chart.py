# SPDX-License-Identifier: Apache-2.0
"""The content of `bede plot`, for any output format: containers below each other, runs side by side. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ocihook.cgroup import names as ids
from ocihook.errors import InputError, printable
from ocihook.watch.recording import Point, Recording, Series
from ocihook.watch.snapshot import rate

MIB = 1 << 20
LOCAL, FAR, BOUND, INK, GRID = "#2b6cb0", "#f0b35a", "#b3261e", "#26313d", "#dfe4ea"
DEMOTED, PROMOTED, STEERED = "#7b4fb5", "#2f8f5b", "#8a8f98"
POINTS = 800  #: most groups of neighbouring points; of each group only the peaks are drawn
WINDOWS = 240  #: most rates that are drawn
#: seconds: in shorter windows rates would be erratic, as the kernel counts pages in batches
LEAST_WINDOW = 0.25
LOWERING = 5.0  #: seconds until usage above a lowered bound counts; as LOWERING_US in native/holder.c
MOST_CONTAINERS = 24
MOST_RUNS = 4


@dataclass(frozen=True)
class Window:
    """A span of time (seconds) with its rates in MiB a second; None for one that is not counted."""

    begin: float
    end: float
    demoted: float | None
    promoted: float | None
    steered: float | None


@dataclass(frozen=True)
class Track:
    """One container in one run."""

    title: str
    points: list[Point]
    windows: list[Window]
    highest: int  #: highest local usage, bytes
    overshoot: int  #: the most bytes by which local usage exceeded the bound then in force
    share: float  #: the overshoot as per cent of that bound
    far: int  #: highest far usage, bytes

    @property
    def facts(self) -> str:
        """Return the main figures in one line."""
        past = "none" if not self.overshoot else f"{mebibytes(self.overshoot)} ({self.share:.2f} %)"
        return f"highest local {mebibytes(self.highest)}, overshoot {past}, far {mebibytes(self.far)}"


@dataclass(frozen=True)
class Line:
    """One container in all runs, drawn with the same axes."""

    tracks: list[Track | None]
    top: float  #: where the axis of usage ends, MiB
    fastest: float  #: where the axis of rates ends, MiB a second


@dataclass(frozen=True)
class Chart:
    """Everything to draw."""

    title: str
    runs: list[str]
    lines: list[Line] = field(default_factory=list)
    end: float = 1.0  #: seconds: where the time axis ends

    @property
    def has_steered(self) -> bool:
        """Return whether any kernel allocated memory on far nodes directly (steering)."""
        tracks = [track for line in self.lines for track in line.tracks if track]
        return any(window.steered is not None for track in tracks for window in track.windows)


def mebibytes(size: float) -> str:
    """Return *size* bytes in a form such as ``127.6 MiB``."""
    return f"{size / MIB:.1f} MiB"


def thinned(points: Sequence[Point], most: int = POINTS) -> list[Point]:
    """Return fewer points: from each of *most* groups of neighbours the peaks and the changes of the bound.

    The peaks are those of local and of far usage.
    """
    step = -(-len(points) // most) or 1
    if step == 1:
        return list(points)
    keep = {0, len(points) - 1}
    for begin in range(0, len(points), step):
        run = range(begin, min(begin + step, len(points)))
        keep.add(max(run, key=lambda at: points[at].local))
        keep.add(max(run, key=lambda at: points[at].far))
        keep.update(at for at in run if at and points[at].bound != points[at - 1].bound)
    return [points[at] for at in sorted(keep)]


def windows(points: Sequence[Point], end: float) -> list[Window]:
    """Return the rates over windows of a minimal length; *end* is the length of the time axis in seconds."""
    least = max(end / WINDOWS, LEAST_WINDOW)
    found = []
    before = points[0]
    for point in points[1:]:
        seconds = point.seconds - before.seconds
        if seconds < least and not (point is points[-1] and seconds >= least / 2):
            continue
        values = [
            None if value is None else value / MIB
            for value in (
                rate(before.demoted, point.demoted, seconds),
                rate(before.promoted, point.promoted, seconds),
                rate(before.steered, point.steered, seconds),
            )
        ]
        found.append(Window(before.seconds, point.seconds, *values))
        before = point
    return found


def ticks(top: float, most: int = 5) -> list[float]:
    """Return round numbers from 0 to *top* for an axis.

    Their step is a power of two if it is at least 1, else 1, 2 or 5 tenths.
    """
    if not (top > 0 and math.isfinite(top)):
        return [0.0]
    rough = top / most
    ten = 10.0 ** math.floor(math.log10(rough))
    step = next(ten * by for by in (1, 2, 5, 10) if ten * by >= rough * (1 - 1e-9))
    if rough >= 1:
        step = 2.0 ** math.ceil(math.log2(rough))
    return [at * step for at in range(int(top / step + 1e-9) + 1)]


def seconds(end: float, most: int = 8) -> list[float]:
    """Return round numbers of seconds from 0 to *end*, for the axis of time."""
    if end < 1:
        return ticks(end, most)
    steps = [by * ten for ten in (0.1, 1.0) for by in (1, 2, 5)]
    steps += [10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400]
    step = next((by for by in steps if end / by <= most), end / most)
    return [at * step for at in range(int(end / step + 1e-9) + 1)]


def build(recordings: Sequence[Recording], names: Sequence[str] = (), title: str = "") -> Chart:
    """Return the chart of *recordings*, each of one run. Raises InputError if there is too much or nothing.

    *names* selects containers by name, id or the beginning of the id.
    """
    if len(recordings) > MOST_RUNS:
        raise InputError(f"{len(recordings)} runs side by side are too many", f"Give {MOST_RUNS} at most")
    chosen = [_chosen(recording, names) for recording in recordings]
    for name in names:
        if not any(_is(series, name) for recording in recordings for series in recording.series):
            raise InputError(f"no recording has a container called {name[:80]!r}", _known(recordings))
    if not any(chosen):
        raise InputError("nothing was recorded: there is no line but the header", "Record bound containers")
    rows = _rows(chosen)
    if len(rows) > MOST_CONTAINERS:
        raise InputError(
            f"{len(rows)} containers are too many for one picture", "Choose some by --container NAME"
        )
    end = max(series.points[-1].seconds for run in chosen for series in run) or 1.0
    shown = printable(title) or "Local and far memory over time"
    titles = [_titles(series) for series in chosen]
    lines = [_line(row, titles, end) for row in rows]
    return Chart(shown, [printable(recording.name) for recording in recordings], lines, end)


def _is(series: Series, name: str) -> bool:
    return bool(name) and (name == series.name or series.id.startswith(name))


def _known(recordings: Sequence[Recording]) -> str:
    titles = list(dict.fromkeys(printable(series.title) for run in recordings for series in run.series))
    return f"There are {', '.join(titles[:8])}" if titles else "They are empty"


def _chosen(recording: Recording, names: Sequence[str]) -> list[Series]:
    return [series for series in recording.series if not names or any(_is(series, name) for name in names)]


def _rows(chosen: list[list[Series]]) -> list[list[Series | None]]:
    """Return the rows of the chart. Series with the same name share a row.

    If each run has one series only, these share a row as well.
    """
    if len(chosen) > 1 and all(len(run) == 1 for run in chosen):
        return [[run[0] for run in chosen]]
    # A name can be used again: then a run has several series of that name, which keep their order.
    rows: dict[tuple[str, int], list[Series | None]] = {}
    for at, run in enumerate(chosen):
        count: dict[str, int] = {}
        for series in run:
            nth = count[series.title] = count.get(series.title, 0) + 1
            rows.setdefault((series.title, nth), [None] * len(chosen))[at] = series
    return list(rows.values())


def _titles(run: Sequence[Series]) -> dict[int, str]:
    """Return the title of each series of one run, by id() of the series.

    Series of the same name have the container's id added.
    """
    count = Counter(series.title for series in run)
    titles = {}
    for series in run:
        unique = count[series.title] == 1
        titles[id(series)] = printable(series.title if unique else f"{series.title} {ids.short(series.id)}")
    return titles


def _line(row: Sequence[Series | None], titles: Sequence[dict[int, str]], end: float) -> Line:
    tracks = [
        _track(series, known[id(series)], end) if series else None
        for series, known in zip(row, titles, strict=True)
    ]
    points = [point for track in tracks if track for point in track.points]
    top = max(max(point.bound, point.local + point.far) for point in points) / MIB
    rates = [
        value or 0.0
        for track in tracks
        if track
        for window in track.windows
        for value in (window.demoted, window.promoted, window.steered)
    ]
    return Line(tracks, 1.1 * top or 1.0, 1.1 * max(rates, default=0.0) or 1.0)


def overshoot(points: Sequence[Point]) -> tuple[int, float]:
    """Return the most by which local usage exceeded the bound then in force: (bytes, per cent of the bound).

    After a bound was lowered, what exceeds it only counts after :data:`LOWERING` seconds.
    """
    past, share = 0, 0.0
    lowered = -math.inf
    bound = 0
    for point in points:
        if point.bound < bound:
            lowered = point.seconds
        bound = point.bound
        if point.local <= bound:
            lowered = -math.inf
        elif point.local - bound > past and point.seconds - lowered > LOWERING:
            past, share = point.local - bound, 100 * (point.local - bound) / bound if bound else 0.0
    return past, share


def _track(series: Series, title: str, end: float) -> Track:
    past, share = overshoot(series.points)
    return Track(
        title,
        thinned(series.points),
        windows(series.points, end),
        max(point.local for point in series.points),
        past,
        share,
        max(point.far for point in series.points),
    )
