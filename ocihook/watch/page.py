# SPDX-License-Identifier: Apache-2.0
"""A chart as one HTML page that needs no network and no library, and can be read without its script."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence

from ocihook.watch.chart import MIB, Chart, Line, Track, seconds, ticks
from ocihook.watch.page_parts import SCRIPT, STYLE

ONE_RUN, WIDTH = 1000, 560  #: width of the only run, or of one of several, in units of the drawing
LEFT, RIGHT = 44, 12  #: margins beside the panels
TOP, USAGE, GAP, RATES, FOOT = 20, 190, 28, 70, 24  #: heights of all parts, from the top down
HEIGHT = TOP + USAGE + GAP + RATES + FOOT
KINDS = ("local", "far", "bound", "demoted", "promoted", "steered")


def page(chart: Chart) -> str:
    """Return the page. All recorded values, such as names, are escaped, so that they are only text."""
    kinds = KINDS if chart.has_steered else KINDS[:-1]
    buttons = "".join(f'<button class="{kind}" aria-pressed="true">{kind}</button>' for kind in kinds)
    tracks = [track for line in chart.lines for track in line.tracks if track]
    numbers = iter(range(len(tracks)))
    body = "\n".join(_section(chart, line, numbers) for line in chart.lines)
    policy = f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'"
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(chart.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{html.escape(chart.title)}</h1>
<nav>{buttons}</nav>
{body}
<script type="application/json" id="data">{_data(chart, tracks)}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _width(chart: Chart) -> int:
    return ONE_RUN if len(chart.runs) == 1 else WIDTH


def _data(chart: Chart, tracks: Sequence[Track]) -> str:
    """Return the data that the script shows for a moment, in MiB; it is safe inside a script element."""
    cells = [
        {
            "t": [round(point.seconds, 3) for point in track.points],
            "l": [round(point.local / MIB, 2) for point in track.points],
            "f": [round(point.far / MIB, 2) for point in track.points],
            "b": [round(point.bound / MIB, 2) for point in track.points],
            "r": [
                [
                    round(window.begin, 3),
                    round(window.end, 3),
                    *(
                        None if rate is None else round(rate, 2)
                        for rate in (window.demoted, window.promoted, window.steered)
                    ),
                ]
                for window in track.windows
            ],
        }
        for track in tracks
    ]
    width = _width(chart)
    found = {"end": chart.end, "width": width, "left": LEFT, "right": width - RIGHT, "cells": cells}
    return json.dumps(found, separators=(",", ":")).replace("<", "\\u003c")


def _section(chart: Chart, line: Line, numbers: Iterable[int]) -> str:
    cells = []
    for name, track in zip(chart.runs, line.tracks, strict=True):
        run = f"<span>{html.escape(name)}</span>" if len(chart.runs) > 1 else ""
        if track is None:
            cells.append(f"<article><h2>{run}</h2><p>not in this run</p></article>")
            continue
        head = f"<h2>{html.escape(track.title)}{run}</h2><p>{html.escape(track.facts)}</p>"
        number = next(iter(numbers))
        cells.append(f'<article data-cell="{number}">{head}\n{_drawing(chart, line, track)}</article>')
    return f'<section class="runs{len(chart.runs)}">{"".join(cells)}</section>'


def _drawing(chart: Chart, line: Line, track: Track) -> str:
    width = _width(chart)
    right = width - RIGHT
    base, foot = TOP + USAGE, TOP + USAGE + GAP + RATES

    def x(moment: float) -> float:
        return LEFT + (right - LEFT) * moment / chart.end

    def usage(size: float) -> float:
        return base - USAGE * size / MIB / line.top

    def speed(value: float) -> float:
        return foot - RATES * value / line.fastest

    parts = [
        _grid(((usage(mark * MIB), f"{mark:g}") for mark in ticks(line.top)), right, TOP, "MiB"),
        _grid(((speed(mark), f"{mark:g}") for mark in ticks(line.fastest, 3)), right, base + GAP, "MiB/s"),
    ]
    for moment in seconds(chart.end, 8 if width == ONE_RUN else 5):
        end = "end" if x(moment) > right - 10 else "middle"
        unit = " s" if moment == 0 else ""
        parts.append(f'<text x="{x(moment):.1f}" y="{foot + 15}" text-anchor="{end}">{moment:g}{unit}</text>')
    times = [x(point.seconds) for point in track.points]
    local = [usage(point.local) for point in track.points]
    total = [usage(point.local + point.far) for point in track.points]
    parts.append(_area("far", times, total, local))
    parts.append(_area("local", times, local, [float(base)] * len(times)))
    parts.append(_path("bound", _steps(times, [usage(point.bound) for point in track.points])))
    for kind in KINDS[3:]:
        windows = [(window, rate) for window in track.windows if (rate := getattr(window, kind)) is not None]
        ends = [(x(at), speed(rate)) for window, rate in windows for at in (window.begin, window.end)]
        parts += [_path(kind, ends)] if ends else []
    for y in (base, foot):
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
    parts.append(f'<line class="cursor" x1="0" x2="0" y1="{TOP}" y2="{foot}"/>')
    label = html.escape(f"{track.title}: {track.facts}")
    return f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _grid(marks: Iterable[tuple[float, str]], right: float, top: float, unit: str) -> str:
    parts = [f'<text x="0" y="{top - 7}">{unit}</text>']
    for y, text in marks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    return "".join(parts)


def _steps(times: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the corners of a stepped line, which keeps each value until the next."""
    found: list[tuple[float, float]] = []
    for at, (time, value) in enumerate(zip(times, values, strict=True)):
        if at and value != values[at - 1]:
            found.append((time, values[at - 1]))
        if not at or value != values[at - 1] or at == len(times) - 1:
            found.append((time, value))
    return found


def _area(kind: str, times: Sequence[float], top: Sequence[float], bottom: Sequence[float]) -> str:
    upper = list(zip(times, top, strict=True))
    lower = list(zip(times, bottom, strict=True))[::-1]
    return _path(kind, [*upper, *lower], "Z")


def _path(kind: str, points: Sequence[tuple[float, float]], end: str = "") -> str:
    text = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="{kind}" d="M{text}{end}"/>'
