# SPDX-License-Identifier: Apache-2.0
"""The picture: local and far usage over time, with the bound as a line (matplotlib, extra ``plot``)."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmlab.demo.series import MIB, Sample, Verdict, overshoot

SIZE = (9.6, 5.0)  #: inches
DPI = 100
LOCAL, FAR, BOUND, INK, GRID = "#2b6cb0", "#f0b35a", "#b3261e", "#26313d", "#dfe4ea"
STEP = 128  #: MiB between the lines of the grid, unless there would be too many
POINTS = 1500  #: most instants that are drawn; each shows the highest local usage around it


def possible() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def thinned(samples: Sequence[Sample], most: int = POINTS) -> list[Sample]:
    """At most *most* samples: from each run of successive ones that with the highest local usage."""
    step = -(-len(samples) // most) or 1
    return [max(samples[i : i + step], key=lambda s: s.local) for i in range(0, len(samples), step)]


def draw(
    samples: Sequence[Sample],
    verdict: Verdict,
    title: str,
    stages: Sequence[tuple[float, str]],
    target: Path,
) -> None:
    """Write the picture of *samples* to *target*, a PNG; *stages* are named along its top."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = thinned(samples)
    begin = shown[0].seconds if shown else 0.0
    times = [s.seconds - begin for s in shown]
    local = [s.local / MIB for s in shown]
    far = [s.far / MIB for s in shown]
    bound = verdict.bound / MIB
    top = 1.18 * max([bound, *(a + b for a, b in zip(local, far, strict=True))])
    end = max([*times, 1.0])

    figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.085, 0.125, 0.77, 0.70))
    axes.stackplot(times, local, far, colors=(LOCAL, FAR), linewidth=0)
    axes.axhline(bound, color=BOUND, linewidth=1.6, zorder=3)
    axes.set_xlim(0, end)
    axes.set_ylim(0, top)
    axes.set_xlabel("seconds", color=INK)
    axes.set_ylabel("MiB", color=INK)
    axes.tick_params(colors=INK, length=0)
    axes.set_axisbelow(True)
    if top < 8 * STEP:
        axes.set_yticks(range(0, int(top) + 1, STEP))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)

    # Instead of a legend, names stand beside the areas, at their heights when the total was highest.
    if shown:
        high = max(shown, key=lambda s: s.local + s.far)
        beside: dict[str, Any] = {
            "x": 1.012,
            "transform": axes.get_yaxis_transform(),
            "va": "center",
            "fontsize": 10.5,
        }
        if high.far:
            axes.text(y=(high.local + high.far / 2) / MIB, s="far", color="#b9791a", weight="bold", **beside)
        axes.text(y=high.local / 2 / MIB, s="local", color=LOCAL, weight="bold", **beside)
        axes.text(y=bound, s=f"bound {bound:g} MiB", color=BOUND, weight="bold", **beside)
    for at, name in stages:
        x = at - begin
        if 0 <= x < end:
            axes.axvline(x, color=INK, linewidth=0.8, linestyle=(0, (2, 3)), ymax=0.985, zorder=2)
            if end - x > 0.08 * end:
                axes.text(x + 0.006 * end, 0.965 * top, name, color=INK, fontsize=9, va="top")

    figure.text(0.085, 0.93, title, color=INK, fontsize=13, weight="bold")
    facts = f"highest local {verdict.highest / MIB:.1f} MiB, overshoot {overshoot(verdict)}"
    if verdict.mean is not None:
        facts += f", mean local while demand was high {100 * verdict.mean / verdict.bound:.1f} % of the bound"
    figure.text(0.085, 0.875, facts, color=INK, fontsize=10)
    figure.savefig(target, format="png", pil_kwargs={"optimize": True})
