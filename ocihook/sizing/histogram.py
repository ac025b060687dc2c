# SPDX-License-Identifier: Apache-2.0
"""A histogram of bytes whose old samples fade: how much memory a container had in use.

It is that of the Kubernetes vertical pod autoscaler (`vertical-pod-autoscaler/pkg/recommender/util`, its
`decaying_histogram.go` and `histogram_options.go`): buckets grow exponentially, and a sample's weight doubles
with each half-life of its time, so no old weight has to be touched when a new sample comes.
"""

import math
from dataclasses import dataclass, replace

from ocihook.errors import InputError
from ocihook.sizing import reading

DAY = 24 * 3600.0  #: seconds: the half-life, as the autoscaler has it: load repeats by the day
FIRST = (
    1 << 20
)  #: bytes of the first bucket: a quarter of the smallest bound, so that small sizes are told apart
RATIO = 1.05  #: of a bucket's width to that before: a size is known to 5 % of itself, as in the autoscaler
LARGEST = 16 << 40  #: bytes that the last bucket begins below: more local memory than any host has today
#: Half-lives by which the newest sample may be later than the reference time. 2^100 is far below the largest
#: float, 2^1024, so sums cannot overflow. The autoscaler has the same number.
SPAN = 100
#: The greatest weight in a checkpoint, as in the autoscaler: with integers up to it a checkpoint is short,
#: and what is less than 1/20,000 of the greatest is forgotten.
SCALE = 10_000
#: seconds since the epoch that a checkpoint may name (the year 5138): a mistake in units is noticed
LATEST = 1e11
VERSION = 1  #: of the checkpoint's form


def bucket(value: float) -> int:
    """Return the number of the bucket that holds *value* bytes, from 0 to ``BUCKETS - 1``."""
    # Bucket n begins at FIRST × (RATIO^n − 1) / (RATIO − 1), the sum of the widths of those before.
    found = math.floor(math.log(1 + max(value, 0) * (RATIO - 1) / FIRST, RATIO))
    return min(found, BUCKETS - 1)


def start(number: int) -> float:
    """Return the bytes at which the bucket *number* begins."""
    return FIRST * (RATIO**number - 1) / (RATIO - 1)


BUCKETS = math.floor(math.log(1 + LARGEST * (RATIO - 1) / FIRST, RATIO)) + 1


@dataclass(frozen=True)
class Histogram:
    """Weights of bytes in use. It never changes: what adds to it returns another one.

    *reference* is the time in seconds at which a sample has the weight that it is given. *half_life* is in
    seconds. *weights* has one number a bucket.
    """

    half_life: float = DAY
    reference: float = 0.0
    weights: tuple[float, ...] = (0.0,) * BUCKETS

    @property
    def total(self) -> float:
        """The sum of all weights, as they are at the reference time."""
        return sum(self.weights)

    @property
    def empty(self) -> bool:
        """Whether no sample has any weight."""
        return not any(self.weights)

    def added(self, at: float, value: int, weight: float = 1.0) -> "Histogram":
        """Return the histogram with one more sample: *value* bytes at the time *at*, in seconds.

        Samples may come in any order. Raises InputError for a negative value or a weight that is not above 0.
        """
        if value < 0 or not 0 < weight < math.inf or not math.isfinite(at):
            raise InputError(f"{value} bytes with the weight {weight} are no sample", "Report this as a bug")
        base = self._for(at)
        weights = list(base.weights)
        weights[bucket(value)] += weight * reading.factor(at - base.reference, self.half_life)
        return replace(base, weights=tuple(weights))

    def merged(self, other: "Histogram") -> "Histogram":
        """Return the sum of two histograms. Raises InputError if their half-lives differ."""
        if self.half_life != other.half_life:
            raise InputError("histograms of different half-lives have no sum", "Report this as a bug")
        later = max(self.reference, other.reference)
        first, second = self._moved(later), other._moved(later)
        pairs = zip(first.weights, second.weights, strict=True)
        return replace(first, weights=tuple(a + b for a, b in pairs))

    def percentile(self, share: float) -> int:
        """Return the bytes that the *share* (0 to 1) of the weight does not exceed; 0 if it is empty.

        It is the end of a bucket, so rather too much than too little: up to 5 % and 1 MiB.
        """
        if self.empty:
            return 0
        wanted, seen, last = share * self.total, 0.0, 0
        for number, weight in enumerate(self.weights):
            seen += weight
            last = number if weight else last
            if weight and seen >= wanted:
                break
        return math.ceil(start(last + 1))

    def checkpoint(self) -> dict[str, reading.Json]:
        """Return it in a form for JSON, of a bounded size: at most one pair of small integers a bucket."""
        most = max(self.weights)
        scaled = [round(weight / most * SCALE) if most else 0 for weight in self.weights]
        return {
            "version": VERSION,
            "half_life": self.half_life,
            "reference": self.reference,
            "total": self.total,
            "weights": [[number, weight] for number, weight in enumerate(scaled) if weight],
        }

    def _for(self, at: float) -> "Histogram":
        """The same with a reference time that a sample at the time *at* can be weighed by."""
        if self.empty:
            return replace(self, reference=at)
        if at - self.reference <= SPAN * self.half_life:
            return self
        return self._moved(at)

    def _moved(self, reference: float) -> "Histogram":
        by = reading.factor(self.reference - reference, self.half_life)
        return replace(self, reference=reference, weights=tuple(weight * by for weight in self.weights))


_FIELDS = frozenset(["version", "half_life", "reference", "total", "weights"])


def restored(raw: object) -> Histogram:
    """Return the histogram of a checkpoint, with the precision that it has. Raises InputError."""
    found = reading.fields(raw, _FIELDS, VERSION)
    half_life = reading.number(found["half_life"], 1.0)
    reference = reading.number(found["reference"], 0.0, LATEST)
    # A sample that is SPAN half-lives later than the reference has 2^SPAN times the weight that it was given.
    total = reading.number(found["total"], 0.0, reading.LARGEST * 2.0**SPAN)
    weights = [0.0] * BUCKETS
    for number, weight in reading.rows(found["weights"], 2, BUCKETS):
        at = reading.number(number, 0, BUCKETS - 1)
        if at != int(at) or weights[int(at)]:
            raise InputError("a checkpoint names a bucket twice, or none", reading.HINT)
        weights[int(at)] = reading.number(weight, 1, SCALE)
    whole = sum(weights)
    if bool(whole) != bool(total):
        raise InputError("the weights of a checkpoint do not add up", reading.HINT)
    by = total / whole if whole else 0.0
    return Histogram(half_life, reference, tuple(weight * by for weight in weights))
