# SPDX-License-Identifier: Apache-2.0
"""Containers whose suffering is known: an access model makes what Bede would count, and says what is true.

A pod goes from one phase to the next. A phase has a curve of the share of local hits by size, as exact as
`sizing_loads.py` has it. The truth of a moment is: it is busy, its slowdown by the curve is above the budget,
and a quarter more local memory lowers that by `HELP` or more. What is counted differs from that: it is noisy,
the agent needs time to learn a phase's pages, and a larger bound helps only once it is filled.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import sizing_loads as loads

from ocihook.sizing.signals import Rules, Window
from ocihook.sizing.suffering import GROWTH, HELP, Action, Detector, step

WINDOW = 10.0  # seconds
DAY = 24 * 3600.0
GIB = 1 << 30
RULES = Rules(loads.CXL, 0.1)
Curve = Callable[[float], float]  # a size as a share of all memory → share of local hits
KINDS = ("zipf", "region", "sets", "even", "scan", "idle")


@dataclass(frozen=True)
class Phase:
    """One thing that a pod does, until the time *end*, and *suffers* if that is true of it."""

    kind: str
    end: float
    busy: float  #: processors
    curve: Curve
    suffers: bool
    edge: bool  #: whether slowdown or help are within a tenth of what makes the difference


@dataclass(frozen=True)
class Pod:
    """A trace: *phases* follow each other. *noise* is of a window's share, half of it lasting for minutes."""

    bound: float  #: as a share of all memory
    noise: float
    tells: bool  #: whether the agent knows what the best pages would have
    phases: tuple[Phase, ...]


def _zipf(random: Random) -> Curve:
    # Sums of n^-s over many pages, by their integral: s is 0.8 to 0.99, of a million pages.
    power = 1 - random.uniform(0.8, 0.99)
    pages = 1e6
    return lambda size: ((1 + min(size, 1) * pages) ** power - 1) / ((1 + pages) ** power - 1)


def _region(random: Random) -> Curve:
    hot, hits = random.uniform(0.05, 0.6), random.uniform(0.85, 0.99)
    return lambda size: hits * min(size / hot, 1) + (1 - hits) * min(max(size - hot, 0) / (1 - hot), 1)


def _sets(random: Random) -> Curve:
    sets = [random.uniform(0.02, 0.8) for _ in range(3)]
    return lambda size: sum(min(size / one, 1) for one in sets) / len(sets)


def _even(random: Random) -> Curve:
    return lambda size: min(size, 1)


def _scan(random: Random) -> Curve:
    """A scan of what is never used again, beside something that fits into little memory."""
    part, hot = random.uniform(0.2, 0.8), random.uniform(0.01, 0.05)
    return lambda size: (1 - part) * min(size / hot, 1) + part * 0.02 * min(size, 1)


_CURVES = {"zipf": _zipf, "region": _region, "sets": _sets, "even": _even, "scan": _scan, "idle": _even}


def suffers(curve: Curve, bound: float, busy: float, by: float = 1.0) -> bool:
    """The truth, or with *by* what it would be if the budget and `HELP` were that many times as large."""
    slow, less = (loads.CXL.slowdown(curve(size)) for size in (bound, bound * (1 + GROWTH)))
    return busy > 0.01 and slow > by * RULES.budget and 1 - less / slow >= by * HELP


def pod(seed: int, seconds: float = DAY) -> Pod:
    """A pod for each seed: one or two things that it does in turns, with others in between."""
    random = Random(seed)
    bound = random.choice((1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4))
    usual = [(kind, _CURVES[kind](random)) for kind in random.choices(KINDS[:3], k=random.randint(1, 2))]
    rare = [(kind, _CURVES[kind](random)) for kind in random.choices(KINDS[3:], k=2)]
    mean = random.choice((600.0, 1800.0, 7200.0))  # of a phase's length
    phases, at = [], 0.0
    start = _even(random)  # programs read all of their data first
    phases.append(_phase("start", random.uniform(20, 240), 1.0, start, bound))
    at = phases[0].end
    while at < seconds:
        rarely = random.random() < 0.4
        kind, curve = random.choice(rare if rarely else usual)
        length = random.expovariate(1 / (mean / 3 if rarely else mean)) + WINDOW
        busy = random.uniform(0, 0.005) if kind == "idle" else random.uniform(0.1, 2)
        at = min(at + length, seconds)
        phases.append(_phase(kind, at, busy, curve, bound))
    return Pod(bound, random.uniform(0.005, 0.02), random.random() < 0.5, tuple(phases))


def _phase(kind: str, end: float, busy: float, curve: Curve, bound: float) -> Phase:
    lenient, strict = (suffers(curve, bound, busy, by) for by in (0.9, 1.1))
    return Phase(kind, end, busy, curve, kind != "start" and suffers(curve, bound, busy), lenient != strict)


@dataclass(frozen=True)
class Moment:
    """One window of a run: what was true, and what the detector said after it."""

    at: float
    phase: Phase
    action: Action
    detector: Detector


def run(one: Pod, seed: int) -> Iterator[Moment]:
    """What a detector says of a pod whose bound is changed by probes alone."""
    random, detector = Random(seed), Detector()
    bound, filled, drift, at = one.bound, one.bound, 0.0, 0.0
    for phase in one.phases:
        began, slow = at, random.uniform(2, 10)  # the agent learns the new pages with this half-life
        while at < phase.end:
            at += WINDOW
            # Filled by what is hot within seconds; shrunk at once.
            filled = bound - (bound - filled) * 2 ** (-WINDOW / 4) if bound > filled else bound
            drift = 0.95 * drift + random.gauss(0, one.noise * math.sqrt(1 - 0.95**2) / 2)
            best = phase.curve(filled)
            share = best * (1 - 2 ** (-(at - began) / slow)) * (1 + drift + random.gauss(0, one.noise * 0.87))
            window = Window(
                at,
                WINDOW,
                round(bound * GIB),
                phase.busy,
                min(max(share, 0.0), 1.0),
                min(best * random.gauss(1, one.noise), 1.0) if one.tells else None,
            )
            detector, action = step(detector, window, RULES)
            if action is Action.GROW:
                bound = one.bound * (1 + GROWTH)
            elif action is Action.RETURN:
                bound = one.bound
            yield Moment(at, phase, action, detector)


@dataclass(frozen=True)
class Score:
    """What came of some runs. An episode is ten minutes or more of phases that all suffer."""

    days: float
    episodes: int
    found: int
    alarms: tuple[int, ...]  #: false ones of each pod
    clear: int  #: of these, those of a phase that is not at the edge
    probes: int
    wrong: float  #: share of the time in which a detector says so of a pod that does not suffer
    delay: tuple[float, ...]  #: seconds from an episode's beginning to its being found


EPISODE = 600.0


def score(seeds: range, seconds: float = DAY) -> Score:
    """Runs a pod for each seed."""
    episodes, found, alarms, probes, delays, wrong, clear = 0, 0, [], 0, [], 0.0, 0
    for seed in seeds:
        false, since, seen, was, began = 0, None, None, False, 0.0
        moments = list(run(pod(seed, seconds), seed + 1_000_000))
        truth = 0.0
        wrong += sum(m.detector.suffers and not m.phase.suffers for m in moments) / len(moments)
        for moment in moments:
            if moment.phase.suffers:
                since = moment.at if since is None else since
                if moment.detector.suffers and seen is None:
                    seen = moment.at
            if since is not None and (not moment.phase.suffers or moment is moments[-1]):
                if moment.at - since >= EPISODE:
                    episodes += 1
                    if seen is not None:
                        found += 1
                        delays.append(seen - since)
                since, seen = None, None
            if moment.action is Action.GROW:
                probes += 1
                began, truth = moment.at, 0.0
            truth += WINDOW * moment.phase.suffers
            # Said of a time, from the last probe on, that suffered for less than half of it.
            if moment.detector.suffers and not was and truth < (moment.at - began) / 2:
                false += 1
                clear += not moment.phase.edge
            was = moment.detector.suffers
        alarms.append(false)
    return Score(
        len(seeds) * seconds / DAY,
        episodes,
        found,
        tuple(alarms),
        clear,
        probes,
        wrong / len(seeds),
        tuple(delays),
    )
