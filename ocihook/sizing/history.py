# SPDX-License-Identifier: Apache-2.0
"""What was measured of one workload, by the size that it had: decayed means, in a bounded number of cells.

A cell holds all samples of about the same size. Its weights fade by half with each half-life, as those of
`histogram.py` do, so the newest behaviour counts most, and the history of a year is as short as that of a
week.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ocihook.errors import InputError
from ocihook.sizing import reading
from ocihook.sizing.histogram import DAY, LATEST

RATIO = 1.05  #: of a cell's largest size to its smallest; a bound's own usage varies by less (some 3 %)
CELLS = (
    64  #: at most; above it the cell of the least weight is forgotten. A workload visits a few dozen sizes
)
#: Of the weight of a measured share, that of a predicted one: the agent tells a whole curve from which pages
#: were in use, and that is not quite which pages missed the caches.
PREDICTED = 0.25
#: Difference of the best pages' share and the measured one at which a sample counts least. Where the agent
#: has settled it is 0.06 at most (docs/figures.md: region, 1/8). A larger one tells of an agent that is still
#: learning, not of the size.
SETTLING = 0.2
#: Weight that an unsettled sample keeps: a load that never settles has a curve, too.
UNSETTLED = 0.1
VERSION = 1  #: of the checkpoint's form


@dataclass(frozen=True)
class Point:
    """With *size* bytes of local memory, *share* (0 to 1) of the hits are local."""

    size: int
    share: float


@dataclass(frozen=True)
class Sample:
    """One measurement at the time *at*, in seconds: *local* bytes were local and had *share* of the hits.

    *best*: the share that the best pages would have, if the agent knows. *curve*: what the agent predicts for
    other sizes, if it does.
    """

    at: float
    local: int
    share: float
    best: float | None = None
    curve: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Cell:
    """Samples of about the same size: the sum of their weights, and the means of size and share.

    *weight* is as at the history's reference time. *measured* is false as long as all are predictions.
    """

    weight: float
    size: float
    share: float
    measured: bool

    def joined(self, other: "Cell") -> "Cell":
        """Return the cell of the samples of both."""
        weight = self.weight + other.weight
        part = other.weight / weight
        return Cell(
            weight,
            self.size + part * (other.size - self.size),
            self.share + part * (other.share - self.share),
            self.measured or other.measured,
        )


@dataclass(frozen=True)
class History:
    """Cells in the order of their sizes; at most one a step of RATIO. It never changes.

    *reference*, *first* and *last* are times in seconds: that of the weights, and those of the first and the
    last sample. A weight is 1 for a settled sample at the reference time.
    """

    half_life: float = DAY
    reference: float = 0.0
    first: float = 0.0
    last: float = 0.0
    cells: tuple[Cell, ...] = ()

    @property
    def covered(self) -> float:
        """Seconds from the first sample to the last one."""
        return self.last - self.first

    def now(self) -> tuple[Cell, ...]:
        """Return the cells with the weights that they have at the time of the last sample."""
        by = reading.factor(self.reference - self.last, self.half_life)
        return tuple(replace(cell, weight=cell.weight * by) for cell in self.cells)

    def added(self, sample: Sample) -> "History":
        """Return the history with one more sample; samples may come in any order. Raises InputError."""
        _check(sample)
        first = min(self.first, sample.at) if self.cells else sample.at
        last = max(self.last, sample.at) if self.cells else sample.at
        # Weights are kept as at the last sample: a newer one makes all others lighter.
        reference = last
        by = reading.factor(self.reference - reference, self.half_life)
        cells = {_place(cell.size): replace(cell, weight=cell.weight * by) for cell in self.cells}
        for cell in _cells(sample, reading.factor(sample.at - reference, self.half_life)):
            at = _place(cell.size)
            cells[at] = cells[at].joined(cell) if at in cells else cell
        return replace(
            self, reference=reference, first=first, last=last, cells=_kept(_placed(cells.values()))
        )

    def checkpoint(self) -> dict[str, reading.Json]:
        """Return it in a form for JSON, of a bounded size: at most `CELLS` rows."""
        return {
            "version": VERSION,
            "half_life": self.half_life,
            "first": self.first,
            "last": self.last,
            "cells": [
                [round(cell.size), round(cell.share, 5), float(f"{cell.weight:.4g}"), cell.measured]
                for cell in self.now()
            ],
        }


_FIELDS = frozenset(["version", "half_life", "first", "last", "cells"])


def restored(raw: object) -> History:
    """Return the history of a checkpoint. Raises InputError."""
    found = reading.fields(raw, _FIELDS, VERSION)
    half_life = reading.number(found["half_life"], 1.0)
    first = reading.number(found["first"], 0.0, LATEST)
    last = reading.number(found["last"], first, LATEST)
    cells = []
    for size, share, weight, measured in reading.rows(found["cells"], 4, CELLS):
        if not isinstance(measured, bool):
            raise InputError("a cell of a checkpoint says not whether it was measured", reading.HINT)
        cells.append(
            Cell(reading.number(weight, 0), reading.number(size, 1), reading.number(share, 0, 1), measured)
        )
    return History(half_life, last, first, last, _kept(_placed(cell for cell in cells if cell.weight > 0)))


def _check(sample: Sample) -> None:
    shares = [sample.share, *([] if sample.best is None else [sample.best])]
    shares += [point.share for point in sample.curve]
    if min(sample.local, *(point.size for point in sample.curve), sample.local) < 1:
        raise InputError("a sample has no local memory", "Report this as a bug")
    if not all(0 <= share <= 1 for share in shares) or not math.isfinite(sample.at):
        raise InputError("the shares of a sample are not from 0 to 1", "Report this as a bug")


def _cells(sample: Sample, weight: float) -> list[Cell]:
    lag = 0.0 if sample.best is None else max(sample.best - sample.share, 0.0)
    settled = max(1 - lag / SETTLING, UNSETTLED)
    # So old that its weight is 0: it says nothing, and a mean of no weight cannot be made.
    if not weight * settled * PREDICTED:
        return []
    found = [Cell(weight * settled, sample.local, sample.share, True)]
    here = _place(sample.local)
    return found + [
        Cell(weight * PREDICTED, point.size, point.share, False)
        for point in sample.curve
        if _place(point.size) != here  # what was measured is known better
    ]


def _place(size: float) -> int:
    return math.floor(math.log(size, RATIO))


def _placed(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """The cells by size, with those joined whose mean sizes have come into the same step."""
    found: dict[int, Cell] = {}
    for cell in cells:
        at = _place(cell.size)
        found[at] = found[at].joined(cell) if at in found else cell
    return tuple(found[at] for at in sorted(found))


def _kept(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    lightest = sorted(range(len(cells)), key=lambda at: cells[at].weight)[: max(len(cells) - CELLS, 0)]
    return tuple(cell for at, cell in enumerate(cells) if at not in lightest and cell.weight > 0)
