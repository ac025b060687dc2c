# SPDX-License-Identifier: Apache-2.0
"""How the share of local hits, and so the slowdown, depends on the local memory of one workload.

What was measured is noisy, and more local memory never means fewer local hits. So the measured shares are
replaced by those that rise with size and are nearest to them: isotonic regression by pooling adjacent
violators (Ayer et al., "An empirical distribution function for sampling with incomplete information", 1955;
Barlow et al., "Statistical Inference under Order Restrictions", 1972).

Between two sizes the curve is the straight line. Pages that are chosen by their heat make a concave curve:
each further page has at most as many hits as the one before. A chord lies below such a curve, so it promises
no share that is not there. For Zipf, whose share grows with the logarithm of size, the chord between two
sizes of which one is twice the other gives a size that is 6 % too large at most. (Beckmann and Sanchez,
"Talus", 2015, reach the chord of any curve by splitting what is cached.)

Two ends need no measurement: without local memory no hit is local, and all are where all memory that is in
use is local.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ocihook.errors import InputError
from ocihook.sizing.history import Cell, History, Point

#: Samples after which half of the trust is there that samples can give: an hour of a report each 5 minutes.
#: With noise of 3 % the mean's error is then less than 1 %.
SAMPLES_HALF = 12.0
#: Seconds that have to be covered for half of the trust that time can give: after a day, in which most load
#: has been through all that it does, it is 0.86.
COVERED_HALF = 4 * 3600.0
#: Factors of 2 from the nearest measured size at which nearness halves, by what lies on the other side:
#: another measured size (the chord is off by a few per cent), the end where all is local (less is known), or
#: nothing.
NEAR_BETWEEN = 1.0
NEAR_END = 0.75
NEAR_BEYOND = 0.5
#: Factors of 2 within which sizes are one, when samples are counted: local usage varies by some per cent.
CLOSE = 1 / 8


@dataclass(frozen=True)
class Latencies:
    """Nanoseconds of a load that misses all caches, from local and from far memory: 90 and 250 for CXL.

    *memory_share*: the share of its time that the workload would wait for local memory, if all memory were
    local. 1, the default, is the upper bound of the slowdown that can come of far memory.
    """

    local: float
    far: float
    memory_share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.local <= self.far < math.inf or not 0 < self.memory_share <= 1:
            raise InputError(
                f"latencies of {self.local} and {self.far} ns, of which {self.memory_share} is waited for",
                "Far memory is not faster than local memory, and the share is from 0 to 1",
            )

    def slowdown(self, share: float) -> float:
        """Return how much longer the workload takes with this *share* of local hits: 0.1 is 10 %.

        Of the time with local memory alone the part *memory_share* was waiting. In it the share of hits that
        is far takes *far / local* times as long. So the whole takes longer by memory_share × (1 − share) ×
        (far / local − 1). It cannot be more where memory_share is 1: processors overlap misses, and compute
        meanwhile.
        """
        return self.memory_share * (1 - share) * (self.far / self.local - 1)

    def share(self, slowdown: float) -> float:
        """Return the least share of local hits (0 to 1) with which the slowdown is not above *slowdown*."""
        worst = self.slowdown(0)
        return 0.0 if slowdown >= worst else 1 - max(slowdown, 0.0) / worst


@dataclass(frozen=True)
class Curve:
    """The share of local hits by size: *points* rise in size and in share.

    *measured*: sizes in bytes that samples had or predicted, rising, and *samples* how many each has, as they
    count now. *covered*: seconds from the first sample to the last. *whole*: bytes with which all is local;
    None if unknown.
    """

    points: tuple[Point, ...]
    measured: tuple[int, ...]
    samples: tuple[float, ...]
    covered: float
    whole: int | None

    def share(self, size: int) -> float:
        """Return the share (0 to 1) of local hits with *size* bytes.

        Beyond the last point it is that of the last one: more is likely, but not known.
        """
        left = Point(0, 0.0)
        for right in self.points:
            if size <= right.size:
                part = (size - left.size) / (right.size - left.size)
                # As floats are, the sum may be a little above the share that it ends at.
                return min(left.share + part * (right.share - left.share), right.share)
            left = right
        return left.share

    def size(self, share: float) -> int | None:
        """Return the fewest bytes with which *share* of the hits are local; None if no size is known."""
        left = Point(0, 0.0)
        for right in self.points:
            if share <= right.share:
                rise = right.share - left.share
                part = (share - left.share) / rise if rise else 0.0
                return math.ceil(left.size + max(part, 0.0) * (right.size - left.size))
            left = right
        return None

    def confidence(self, size: int) -> float:
        """Return how far the share at *size* bytes can be believed, from 0 (not at all) to 1.

        It is the product of three: how near a measured size is, how many samples that one has with those
        close to it, and how long samples were taken. The measured size for which the product is greatest
        decides.
        """
        if size < 1:
            return 0.0
        below = any(known <= size for known in self.measured)
        above = any(known >= size for known in self.measured)
        if below and above:
            half = NEAR_BETWEEN
        elif below and self.whole is not None and size <= self.whole:
            half = NEAR_END
        else:
            half = NEAR_BEYOND
        trust = 0.0
        for known in self.measured:
            count = sum(
                samples
                for other, samples in zip(self.measured, self.samples, strict=True)
                if abs(math.log2(other / known)) <= CLOSE
            )
            near = math.exp2(-abs(math.log2(size / known)) / half)
            trust = max(trust, near * count / (count + SAMPLES_HALF))
        return trust * self.covered / (self.covered + COVERED_HALF)


def fitted(history: History, whole: int | None = None) -> Curve:
    """Return the curve of what was measured. *whole*: bytes with which all is local, if known."""
    cells = history.now()
    # Where all is local the share is 1, whatever noise there is in the measured one.
    inner = [cell for cell in cells if whole is None or cell.size < whole]
    points = [Point(round(cell.size), share) for cell, share in zip(inner, _isotonic(inner), strict=True)]
    if whole is not None:
        points.append(Point(whole, 1.0))
    return Curve(
        tuple(points),
        tuple(round(cell.size) for cell in cells),
        tuple(cell.weight for cell in cells),
        history.covered,
        whole,
    )


def _isotonic(cells: Sequence[Cell]) -> list[float]:
    """The rising shares with the least weighted sum of squares from those of the *cells*, in their order."""
    blocks: list[tuple[float, float, int]] = []  # weight, mean share, cells
    for cell in cells:
        weight, share, count = cell.weight, cell.share, 1
        while blocks and blocks[-1][1] > share:
            before, mean, size = blocks.pop()
            share = (before * mean + weight * share) / (before + weight)
            weight, count = before + weight, count + size
        blocks.append((weight, share, count))
    return [share for _, share, count in blocks for _ in range(count)]
