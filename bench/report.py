#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes docs/figures.md and its pictures of what bench/placement.py has kept in bench/results/.

bench/report.py
"""

import itertools
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import results
import ways
from figures import Cost, Row, table, table_of_costs
from loads import SIZE

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "figures.md"
COMPARED = 3  #: ways from which on a load gets a table and a picture of its own
REFERENCES = ("far", "local")  #: no ways to hold a bound
COLUMNS = (
    *("kernel", "load", "bound", "seeds", "E", "whole", "speed", "mean", "over"),
    *("cpu", "later", "again", "vain", "revision"),
)
HEAD = f"""\
# Figures of placement

Made by `bench/report.py` of all that `bench/placement.py --keep` has measured so far, on the modelled machine
with two CPUs, 2.5 GiB of local and 2 GiB of far memory (`cxl`: 90 and 250 ns). The loads use {SIZE} MiB.
[Which pages are local](placement.md#what-comes-of-it) explains loads, ways and columns, and what falls short.
A row's revision is that of the code that it was measured with; what has changed since is not in it.
"""
ALONE = """
## Bede, by load and bound

The mean over the seeds, and the worst of them in brackets where there are several.
"""


def text(rows: list[Row], costs: list[Cost]) -> str:
    """The page."""
    parts = [HEAD, ALONE, _summary([row for row in rows if row.way == "bede"])]
    parts.append("\n## What is used instead\n")
    for kernel, load, share, some in _compared(rows):
        parts.append(f"\n### {load.capitalize()}, 1/{share}, {kernel}\n")
        parts.append(f"![E against the highest overshoot]({_picture(kernel, load, share).name})\n")
        parts.append(table(some))
    if costs:
        parts.append("\n## Where the bound is not reached\n")
        parts.append(table_of_costs(costs))
    return "\n".join(parts) + "\n"


def write() -> None:
    """Make the page and its pictures anew."""
    rows, costs = results.rows(), results.costs()
    PAGE.write_text(text(rows, costs))
    for kernel, load, share, some in _compared(rows):
        _plot(some, _picture(kernel, load, share))


def _by_load(rows: list[Row]) -> Iterable[tuple[str, str, int, list[Row]]]:
    """The rows of each load under each bound, by their seeds and ways."""

    def name(row: Row) -> tuple[str, str, int]:
        return row.kernel, row.load, row.share

    order = list(ways.WAYS)
    for key, group in itertools.groupby(sorted(rows, key=name), name):
        yield *key, sorted(group, key=lambda row: (row.seed, order.index(row.way)))


def _compared(rows: list[Row]) -> Iterable[tuple[str, str, int, list[Row]]]:
    """The loads that were run in several ways."""
    for kernel, load, share, some in _by_load(rows):
        if len({row.way for row in some} - {*REFERENCES}) >= COMPARED:
            yield kernel, load, share, some


def _picture(kernel: str, load: str, share: int) -> Path:
    return DOCS / f"figures-{load}-{share}-{kernel}.svg"


def _summary(rows: list[Row]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
    for kernel, load, share, some in _by_load(rows):
        cells = (
            _all("{:.2f}", [row.efficiency for row in some], min),
            _all("{:.2f}", [row.whole for row in some], min),
            _all("{:.1%}", [row.speed for row in some], min),
            _all("{:.1%}", [row.mean for row in some], min),
            _all("{:.1%}", [max(0.0, row.over) for row in some], max),
            _all("{:.1%}", [row.cpu for row in some], max),
            _all("{:.1%}", [row.later for row in some], max),
            _all("{:.1f} s", [row.again for row in some], max),
            _all("{:.1%}", [row.vain for row in some], max),
        )
        seeds = ", ".join(str(row.seed) for row in some)
        revisions = ", ".join(sorted({row.revision for row in some}))
        lines.append(f"| {kernel} | {load} | 1/{share} | {seeds} | {' | '.join(cells)} | {revisions} |")
    return "\n".join(lines)


def _all(form: str, values: list[float | None], worst: Callable[[Iterable[float]], float]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = form.format(statistics.mean(known))
    return mean if len(known) == 1 else f"{mean} ({form.format(worst(known))})"


def _plot(rows: list[Row], path: Path) -> None:
    """Draw E against the highest overshoot, a point for each row: good is above, and left."""
    import matplotlib
    from matplotlib.figure import Figure

    # The same rows make the same file.
    matplotlib.rcParams.update({"svg.hashsalt": path.name, "svg.fonttype": "none"})
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for way in (way for way in ways.WAYS if way not in REFERENCES):
        points = [(100 * row.over, row.efficiency) for row in rows if row.way == way and row.efficiency]
        axes.scatter(*zip(*points, strict=True) if points else ([], []), label=way)
    axes.set(xlabel="highest above the bound, %", ylabel="E: 0 is chance, 1 the oracle")
    axes.axvline(0, color="grey", linewidth=0.5)
    axes.axhline(1, color="grey", linewidth=0.5)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    write()
    sys.exit(0)
