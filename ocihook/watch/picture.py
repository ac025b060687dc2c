# SPDX-License-Identifier: Apache-2.0
"""A chart as a PNG, by matplotlib, which only this module imports."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import warnings
from typing import Any

from ocihook.errors import RuntimeMissingError
from ocihook.watch.chart import (
    BOUND,
    DEMOTED,
    FAR,
    GRID,
    INK,
    LOCAL,
    MIB,
    PROMOTED,
    STEERED,
    Chart,
    Line,
    Track,
    seconds,
    ticks,
)

DPI = 110
WIDTH, ONE_RUN = 5.6, 9.6  #: inches: width of a run, and of the only run
HEIGHT, HEAD, FOOT = 3.6, 0.5, 0.55  #: inches: of each container, at the top, at the bottom
LEFT, RIGHT = 0.85, 1.25  #: inches beside the panels
FAR_INK = "#b9791a"


def png(chart: Chart) -> bytes:
    """Return the PNG. Raises RuntimeMissingError if matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise RuntimeMissingError(
            "a PNG needs matplotlib, which is not installed",
            "Install python3-matplotlib, or draw a page: -o OUT.html needs nothing",
        )
    os.environ.setdefault("MPLBACKEND", "Agg")
    # On a slow machine it says at the first picture that it looks for fonts: nothing that anybody can change.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    runs = len(chart.runs)
    wide = ONE_RUN if runs == 1 else LEFT + RIGHT + WIDTH * runs
    high = HEAD + HEIGHT * len(chart.lines) + FOOT
    figure = Figure(figsize=(wide, high), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    inner = (wide - LEFT - RIGHT) / runs
    for at, line in enumerate(chart.lines):
        bottom = FOOT + HEIGHT * (len(chart.lines) - 1 - at)
        for run, track in enumerate(line.tracks):
            left = LEFT + inner * run

            def place(y: float, height: float, left: float = left, bottom: float = bottom) -> Any:
                width = inner - (0.3 if runs > 1 else 0)
                return figure.add_axes((left / wide, (bottom + y) / high, width / wide, height / high))

            above, below = place(1.15, HEIGHT - 1.85), place(0.25, 0.7)
            last, lowest = run == runs - 1, at == len(chart.lines) - 1
            _panel(above, chart, ticks(line.top), line.top, "MiB", not run, False)
            _panel(below, chart, ticks(line.fastest, 3), line.fastest, "MiB/s", not run, lowest)
            if track is not None:
                _usage(above, track, line, last)
                _rates(below, track, last, chart.end)
            _titles(above, track, chart.runs[run] if runs > 1 else "")
    title = figure.text(LEFT / wide, 1 - 0.4 / high, chart.title, color=INK, fontsize=14, weight="bold")
    title.set_parse_math(False)
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the font may lack letters of a name
        figure.savefig(out, format="png", pil_kwargs={"optimize": True})
    return out.getvalue()


def _panel(
    axes: Any, chart: Chart, marks: list[float], top: float, unit: str, first: bool, timed: bool
) -> None:
    """Draw the empty panel of one kind of figure. Only the *first* panel in a row labels its axis."""
    axes.set_xlim(0, chart.end)
    axes.set_ylim(0, top)
    axes.set_yticks(marks)
    axes.set_xticks(seconds(chart.end))
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.grid(axis="x", color=GRID, linewidth=0.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    if first:
        axes.set_ylabel(unit, color=INK, fontsize=9)
    else:
        axes.set_yticklabels([])
    if timed:
        axes.set_xlabel("seconds", color=INK, fontsize=9)
    else:
        axes.set_xticklabels([])


def _usage(axes: Any, track: Track, line: Line, named: bool) -> None:
    times = [point.seconds for point in track.points]
    local = [point.local / MIB for point in track.points]
    far = [point.far / MIB for point in track.points]
    bound = [point.bound / MIB for point in track.points]
    axes.stackplot(times, local, far, colors=(LOCAL, FAR), linewidth=0)
    # Draw the outline, too: a peak narrower than a pixel would be invisible as an area.
    axes.plot(times, local, color=LOCAL, linewidth=0.9, zorder=2.5, solid_joinstyle="bevel")
    axes.step(times, bound, where="post", color=BOUND, linewidth=1.6, zorder=3)
    if not named:
        return
    high = max(track.points, key=lambda point: point.local + point.far)
    names = [(high.local / 2 / MIB, "local", LOCAL), (bound[-1], f"bound {bound[-1]:g}", BOUND)]
    if high.far:
        names.append(((high.local + high.far / 2) / MIB, "far", FAR_INK))
    _beside(axes, names, line.top / 9)


def _rates(axes: Any, track: Track, named: bool, end: float) -> None:
    names = []
    top = axes.get_ylim()[1]
    kinds = (("steered", STEERED), ("demoted", DEMOTED), ("promoted", PROMOTED))
    for place, (kind, colour) in enumerate(kinds):
        shown = [window for window in track.windows if getattr(window, kind) is not None]
        if not shown:
            continue
        times = [moment for window in shown for moment in (window.begin, window.end)]
        values = [getattr(window, kind) for window in shown for _ in range(2)]
        axes.plot(times, values, color=colour, linewidth=1.2, clip_on=False)
        if kind != "steered":
            axes.fill_between(times, values, color=colour, alpha=0.18, linewidth=0)
        names.append((top * (0.15 + 0.35 * place), kind, colour))
    if named:
        _beside(axes, names, top / 4)


def _beside(axes: Any, names: list[tuple[float, str, str]], apart: float) -> None:
    """Write each name to the right of its line, so that no two names overlap."""
    lowest = float("-inf")
    for y, name, colour in sorted(names):
        lowest = max(y, lowest + apart)
        axes.text(
            1.012,
            lowest,
            name,
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=9.5,
            weight="bold",
            color=colour,
        )


def _titles(axes: Any, track: Track | None, run: str) -> None:
    head = {"transform": axes.transAxes, "color": INK, "parse_math": False}
    name = track.title if track else "not in this run"
    facts = track.facts if track else ""
    axes.text(0, 1.14, f"{name}   {run}".rstrip(), fontsize=11, weight="bold", **head)
    axes.text(0, 1.04, facts, fontsize=8.5 if run else 9.5, **head)
