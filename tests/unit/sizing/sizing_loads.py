# SPDX-License-Identifier: Apache-2.0
"""Workloads whose share of local hits is known for each size: computed ones, and recorded ones."""

import itertools
import json
import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ocihook.sizing.curve import Latencies
from ocihook.sizing.histogram import Histogram
from ocihook.sizing.history import History, Point, Sample

MIB = 1 << 20
PAGE = 4096
CXL = Latencies(90, 250)  # vmlab/model/profiles/cxl.yaml
REPORT = 300.0  # seconds between two samples: docs of the design
RESULTS = Path(__file__).resolve().parents[3] / "bench/results/placement.jsonl"


@dataclass(frozen=True)
class Load:
    """*share* gives the true share of local hits with so many bytes; *whole* bytes are in use."""

    name: str
    whole: int
    share: Callable[[int], float]

    def oracle(self, share: float) -> int:
        """The fewest bytes, to a page, with which at least *share* of the hits are local."""
        pages = range(self.whole // PAGE + 1)
        return PAGE * bisect_left(pages, True, key=lambda page: self.share(page * PAGE) >= share - 1e-12)


def zipf(whole: int = 1 << 30) -> Load:
    """Pages of which the n-th is used 1/n^0.99 times as often as the first, the hottest ones local."""
    sums = list(itertools.accumulate(rank**-0.99 for rank in range(1, whole // PAGE + 1)))

    def share(size: int) -> float:
        pages = min(size // PAGE, len(sums))
        return sums[pages - 1] / sums[-1] if pages else 0.0

    return Load("zipf", whole, share)


def region(whole: int = 1 << 30, hot: float = 0.25, hits: float = 0.9) -> Load:
    """A region, *hot* of the memory, that has *hits* of the accesses; the rest is used evenly."""

    def share(size: int) -> float:
        inside = min(size / (hot * whole), 1.0)
        outside = min(max(size - hot * whole, 0) / ((1 - hot) * whole), 1.0)
        return hits * inside + (1 - hits) * outside

    return Load(f"region {hot}", whole, share)


def working_sets(*sets: tuple[int, float]) -> Load:
    """One set of pages after another: bytes, and the share of the time that it is used, evenly."""

    def share(size: int) -> float:
        return sum(part * min(size / used, 1.0) for used, part in sets)

    return Load("sets", max(used for used, _ in sets), share)


def recorded(load: str, kernel: str = "debian-6.12") -> Load:
    """A load that was measured under Bede; between measured sizes its share grows with the logarithm of size.

    bench/placement.py has it use 128 MiB. *local* is the mean of what was local, and is less than the bound.
    """
    points = {0.0: 0.0, 128.0 * MIB: 1.0}
    for row in map(json.loads, RESULTS.read_text().splitlines()):
        if (row["kernel"], row["load"], row["way"]) == (kernel, load, "bede"):
            # A quarter was measured with several seeds: their last one stands for it.
            points[128 * MIB / row["share"]] = row["local_share"]
    sizes = sorted(points)

    def share(size: int) -> float:
        for low, high in itertools.pairwise(sizes):
            if size <= high:
                rise = points[high] - points[low]
                part = math.log(max(size, 1) / low) / math.log(high / low) if low else size / high
                return points[low] + rise * part
        return 1.0

    return Load(f"recorded {load}", 128 * MIB, share)


def measured(
    load: Load, sizes: list[int], random: Random, noise: float, samples: int, start: float = 0.0
) -> History:
    """The history of a container that had each of *sizes* for *samples* reports, one after another."""
    history, at = History(), start
    for size in sizes:
        for _ in range(samples):
            history = history.added(one(load, size, random, noise, at))
            at += REPORT
    return history


def one(load: Load, size: int, random: Random, noise: float, at: float, bias: float | None = None) -> Sample:
    """One report: a share with *noise* relative to it, and local usage that is up to 3 % below the bound.

    With a *bias* it has a predicted curve, at quarters of an octave, that has too few far hits by that share.
    """
    local = round(size * random.uniform(0.97, 1.0))
    curve = []
    if bias is not None:
        sizes = [round(load.whole * 2 ** (-step / 4)) for step in range(1, 20)]
        curve = [
            Point(each, _noisy(1 - (1 - load.share(each)) * (1 - bias), random, noise)) for each in sizes
        ]
    return Sample(at, local, _noisy(load.share(local), random, noise), curve=tuple(curve))


def _noisy(share: float, random: Random, noise: float) -> float:
    return min(max(share * random.gauss(1, noise), 0.0), 1.0)


def demand(load: Load, samples: int = 24) -> Histogram:
    """The bytes in use, which hardly vary."""
    histogram = Histogram()
    for number in range(samples):
        histogram = histogram.added(number * REPORT, load.whole)
    return histogram
