# SPDX-License-Identifier: Apache-2.0
"""Samples, the verdict on a bound that follows from them, and its one line of text. No input or output."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ocihook.errors import InputError
from vmlab.demo.sampler import HEADER

MIB = 1 << 20
TOLERATED = 0.01  #: share of the bound by which local usage may exceed it without a failure


class Sample(NamedTuple):
    """One row of the sampler: seconds, then bytes."""

    seconds: float
    local: int
    far: int
    current: int
    file: int
    swap: int


@dataclass(frozen=True)
class Workload:
    """How the workload went; *ended* is the time at which its demand ended, on the samples' clock."""

    status: int
    keys: int  #: keys that were to be set
    loaded: int  #: keys that existed after the load
    good: int  #: keys that had the right value at the end
    evicted: int
    ended: float
    mover: float | None = None  #: seconds of CPU time of the agent's mover; None: no mover

    @property
    def missing(self) -> int:
        """The number of keys that were missing at the end, or had a wrong value."""
        return self.keys - self.good

    @property
    def ok(self) -> bool:
        """Whether the workload ended as it would have without a bound."""
        return self.status == 0 and self.evicted == 0 and self.loaded == self.good == self.keys


@dataclass(frozen=True)
class Verdict:
    """What was measured against the bound; bytes."""

    bound: int
    highest: int  #: highest local usage
    mean: float | None  #: local usage while the demand was above the bound; None: it never was
    far: int  #: highest far usage
    swap: int  #: highest swap usage
    crossed: float | None  #: when the demand passed the bound, seconds

    @property
    def overshoot(self) -> int:
        """The highest overshoot, in bytes."""
        return max(self.highest - self.bound, 0)

    @property
    def held(self) -> bool:
        """Whether the overshoot was within TOLERATED."""
        return self.overshoot <= self.bound * TOLERATED


def parse_sample(line: str) -> Sample:
    """One row of the sampler's CSV. Raises InputError."""
    try:
        seconds, *sizes = line.split(",")
        return Sample(float(seconds), *map(int, sizes))
    except (ValueError, TypeError):
        raise InputError(f"not a sample: {line[:60]!r}", f"The columns are {HEADER}") from None


def parse_csv(text: str) -> list[Sample]:
    """All rows of the sampler's CSV. Raises InputError."""
    head, *lines = text.splitlines() or [""]
    if head != HEADER:
        raise InputError("not a file of the sampler", f"Its first line is {HEADER}")
    return [parse_sample(line) for line in lines]


def to_csv(samples: Sequence[Sample]) -> str:
    """The samples as the sampler's CSV."""
    rows = [",".join(map(str, sample)) for sample in samples]
    return "\n".join([HEADER, *rows, ""])


def judge(samples: Sequence[Sample], bound: int, ended: float = float("inf")) -> Verdict:
    """The verdict on *samples*. The mean is weighted by time, from the crossing of the bound to *ended*."""
    crossed = next((s.seconds for s in samples if s.local + s.far > bound), None)
    weighted = span = 0.0
    if crossed is not None:
        for one, following in itertools.pairwise(samples):
            if one.seconds >= crossed and following.seconds <= ended:
                weighted += one.local * (following.seconds - one.seconds)
                span += following.seconds - one.seconds
    return Verdict(
        bound=bound,
        highest=max((s.local for s in samples), default=0),
        mean=weighted / span if span else None,
        far=max((s.far for s in samples), default=0),
        swap=max((s.swap for s in samples), default=0),
        crossed=crossed,
    )


def mebibytes(size: float) -> str:
    """A size such as ``127.6 MiB``."""
    return f"{size / MIB:.1f} MiB"


def overshoot(verdict: Verdict) -> str:
    """The overshoot in words: MiB and share of the bound."""
    if verdict.overshoot == 0:
        return "none"
    return f"{verdict.overshoot / MIB:.2f} MiB ({100 * verdict.overshoot / verdict.bound:.2f} %)"


def line(verdict: Verdict, workload: Workload | None) -> str:
    """The verdict as one line of text."""
    parts = [
        f"bound {mebibytes(verdict.bound)}",
        f"highest local {mebibytes(verdict.highest)}",
        f"overshoot {overshoot(verdict)}",
    ]
    if verdict.mean is None:
        parts.append("the demand never passed the bound")
    else:
        share = 100 * verdict.mean / verdict.bound
        parts.append(f"mean local {mebibytes(verdict.mean)} ({share:.1f} %) while demand was high")
    parts.append(f"far {mebibytes(verdict.far)}")
    if verdict.swap:
        parts.append(f"swap {mebibytes(verdict.swap)}")
    if workload is None:
        parts.append("the workload failed")
    else:
        parts.append(f"{workload.good} of {workload.keys} keys there")
        parts.append(f"exit status {workload.status}")
    return f"{'held' if passed(verdict, workload) else 'failed'}: " + ", ".join(parts)


def passed(verdict: Verdict, workload: Workload | None) -> bool:
    """Whether the bound was held and the workload went well."""
    return verdict.held and workload is not None and workload.ok
