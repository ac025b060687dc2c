# SPDX-License-Identifier: Apache-2.0
"""How much local memory a workload should have, for a budget of slowdown.

While little is known the answer is what the user asked for. With more it moves, and each size that it moves
to is measured in turn.
"""

import math
from dataclasses import dataclass

from ocihook.errors import InputError
from ocihook.sizing.curve import Curve, Latencies, fitted
from ocihook.sizing.histogram import Histogram
from ocihook.sizing.history import History

#: Confidence up to which nothing is recommended but what the user asked for: some two hours of samples.
DOUBT = 0.25
#: Confidence from which the curve alone decides: some six hours of samples next to the size.
TRUST = 0.5
#: Budgets of slowdown that the floor allows: with twice the budget a workload suffers for certain, and with
#: less a lender that its borrowers cannot leave at once is still of use.
FLOOR_BUDGETS = 2.0
#: Budgets of slowdown that are left at the most that is of use: what is beyond gains less than a tenth of it.
MAX_BUDGETS = 0.1
#: Of the demand's weight, what has to fit: the memory in use in 99 of 100 samples. The peaks beyond it live
#: far.
PEAK = 0.99
#: Of the largest size that was measured, by which a recommendation is larger while the budget is not met
#: anywhere: as much as a probe (suffering.py) adds.
STEP = 0.25


@dataclass(frozen=True)
class Limits:
    """What the user allows: bytes asked for, the fewest and the most bytes, and a budget.

    *budget* is the slowdown that is accepted, a share of the time with local memory alone: 0.1 is 10 %.
    """

    asked: int
    minimum: int
    maximum: int
    budget: float

    def __post_init__(self) -> None:
        if not 0 < self.minimum <= self.maximum or self.asked < 1:
            raise InputError(
                f"{self.asked} bytes are asked for, from {self.minimum} to {self.maximum}",
                "The least size is above 0, and not above the most",
            )
        if not 0 < self.budget < math.inf:
            raise InputError(f"a budget of slowdown of {self.budget}", "Give a number above 0, such as 0.1")


@dataclass(frozen=True)
class Recommendation:
    """Bytes of local memory: minimum ≤ floor ≤ target ≤ max ≤ maximum.

    *floor*: with less it suffers for certain. *target*: the slowdown is the budget. *max*: more is of no use.
    *confidence*: from 0 to 1, how far the curve is believed at the target.
    """

    floor: int
    target: int
    max: int
    confidence: float


def recommend(history: History, demand: Histogram, latencies: Latencies, limits: Limits) -> Recommendation:
    """Return the sizes for a workload.

    *demand* has the bytes that were in use, local and far: with its peak all is local. It may be empty. With
    the local bytes alone a workload that is held to a bound would never seem to need more than that.
    """
    curve = fitted(history, demand.percentile(PEAK) or None)
    target, confidence = _target(curve, latencies, limits)
    floor = _needed(curve, latencies.share(FLOOR_BUDGETS * limits.budget), target)
    most = _needed(curve, latencies.share(MAX_BUDGETS * limits.budget), target)
    belief = min(max((confidence - DOUBT) / (TRUST - DOUBT), 0.0), 1.0)
    sizes = [_between(limits, _blended(limits.asked, size, belief)) for size in (floor, target, most)]
    return Recommendation(min(sizes[:2]), sizes[1], max(sizes[1:]), confidence)


def _target(curve: Curve, latencies: Latencies, limits: Limits) -> tuple[int, float]:
    found = curve.size(latencies.share(limits.budget))
    if found is not None:
        # A budget that no far hit can pass needs no local memory at all: the smallest size is not measured.
        return max(found, 1), curve.confidence(max(found, limits.minimum))
    if not curve.measured:
        return limits.asked, 0.0
    # The budget is not met at any known size. That is as certain as the largest of them.
    largest = curve.measured[-1]
    return math.ceil(largest * (1 + STEP)), curve.confidence(largest)


def _needed(curve: Curve, share: float, otherwise: int) -> int:
    found = curve.size(share)
    return otherwise if found is None else max(found, 1)


def _blended(asked: int, size: int, belief: float) -> int:
    """From *asked* to *size* by *belief*; half of it is the geometric mean: sizes differ by factors."""
    return round(asked * math.pow(size / asked, belief))


def _between(limits: Limits, size: int) -> int:
    return min(max(size, limits.minimum), limits.maximum)
