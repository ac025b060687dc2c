# SPDX-License-Identifier: Apache-2.0
"""Containers that suffer are found by a probe; the others have their bound."""

import random
from collections.abc import Callable

from ocihook.cluster.node import plan
from ocihook.cluster.node.probing import PERIOD, Prober, Usage
from ocihook.cluster.objects import Bound, Slot
from ocihook.cluster.profiles import LATENCIES
from ocihook.control.status import Status
from ocihook.sizing import suffering

MIB = 1 << 20
SLOT = Slot("pod", "web")
BOUND = Bound(SLOT, 64 * MIB, 64 * MIB)
HALF_AN_HOUR = 1800


class Box:
    """A container whose share of local hits is *hits* of its bound, measured each *every* seconds."""

    def __init__(self, hits: Callable[[int], float], every: float = PERIOD, spare: int = 1 << 40) -> None:
        self.random = random.Random(1)
        self.hits, self.every, self.spare = hits, every, spare
        self.bound, self.now, self.measured = BOUND.size, 1000.0, 0.0
        self.told = 0.0
        self.largest = 0
        self.prober = Prober(LATENCIES)
        self.wanted = [BOUND]

    def status(self) -> Status:
        if self.now >= self.measured + self.every:
            self.measured = self.now
            self.told = min(max(self.hits(self.bound) + self.random.gauss(0, 0.005), 0.0), 1.0)
        return Status(
            *("web", "/web", self.bound, 1, 1, "tier"),
            pod_uid="pod",
            pod_container="web",
            hits_local=self.told,
            hits_best=self.told,
        )

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 1.0
            one = self.status()
            used = (
                {SLOT: Usage(self.now, int(self.now * 1e6), 0, 0)} if self.prober.due(one, self.now) else {}
            )
            self.prober.look([one], used, self.wanted)
            found = plan.changes([one], self.prober.wanted(self.wanted), BOUND.size + self.spare)
            for change in found.changes:
                self.bound = change.size
                self.largest = max(self.largest, self.bound)
            for slot in found.refused:
                assert self.prober.refused(slot, self.now)


def rises(bound: int) -> float:
    """More helps: a working set of 96 MiB, evenly used."""
    return min(0.95 * bound / (96 * MIB), 0.95)


def test_who_may_be_slow_does_not_suffer() -> None:
    # Half of the hits are far, which costs 90 % at most.
    box = Box(rises)
    box.wanted = [BOUND._replace(budget=100)]
    box.run(HALF_AN_HOUR)
    assert box.prober.suffers(SLOT) == 0
    assert box.largest == 0


def test_one_that_suffers_is_found_and_its_bound_is_its_own_again() -> None:
    box = Box(rises)
    box.run(HALF_AN_HOUR)
    assert box.prober.suffers(SLOT) > 100
    assert box.bound == BOUND.size
    assert box.largest == BOUND.size * 5 // 4


def test_one_that_gains_nothing_has_its_bound() -> None:
    """A scan has as many far hits with more local memory."""
    box = Box(lambda bound: 0.5)
    box.run(HALF_AN_HOUR)
    assert box.prober.suffers(SLOT) == 0
    assert box.bound == BOUND.size
    assert box.largest == BOUND.size * 5 // 4


def test_one_that_is_well_is_left_alone() -> None:
    box = Box(lambda bound: 0.99)
    box.run(HALF_AN_HOUR)
    assert (box.prober.suffers(SLOT), box.largest) == (0, 0)


def test_without_room_nobody_is_probed() -> None:
    box = Box(rises, spare=MIB)
    box.run(HALF_AN_HOUR)
    assert (box.prober.suffers(SLOT), box.largest) == (0, 0)


def test_what_was_measured_before_says_nothing() -> None:
    box = Box(rises, every=1e9)
    box.run(HALF_AN_HOUR)
    assert (box.prober.suffers(SLOT), box.largest) == (0, 0)
    slow = Box(rises, every=25.0)
    slow.run(2 * HALF_AN_HOUR)
    assert slow.prober.suffers(SLOT) > 0
    assert slow.bound == BOUND.size


def test_a_probe_ends_in_its_time_even_if_nothing_is_measured() -> None:
    box = Box(rises)
    while not box.largest:
        box.run(1)
    box.every = 1e9
    box.run(suffering.PROBE + 2 * PERIOD)
    assert box.bound == BOUND.size
    assert box.prober.suffers(SLOT) == 0


def test_a_probe_ends_with_the_bound_that_it_is_about() -> None:
    """Bede is taken out of the cluster meanwhile: the container keeps its bound, not a quarter more."""
    box = Box(rises)
    while not box.largest:
        box.run(1)
    box.wanted = []
    box.run(2)
    assert box.bound == BOUND.size
    assert box.prober.wanted([]) == []


def test_a_probe_ends_with_the_program() -> None:
    box = Box(rises)
    assert box.prober.end() == []
    while not box.largest:
        box.run(1)
    assert box.prober.end() == [BOUND]


def test_a_bound_that_changes_meanwhile_counts() -> None:
    box = Box(rises)
    while not box.largest:
        box.run(1)
    box.wanted = [BOUND._replace(size=32 * MIB)]
    box.run(2)
    assert box.bound == 32 * MIB


def test_what_a_probe_adds_is_the_first_to_go() -> None:
    box = Box(rises)
    while not box.largest:
        box.run(1)
    grown = box.status()
    other = Status("new", "/new", 64 * MIB, 1, 1, "tier", pod_uid="new", pod_container="c")
    found = plan.changes([grown, other], box.prober.wanted([BOUND]), 128 * MIB)
    assert [(one.container.id, one.size) for one in found.changes] == [("web", BOUND.size)]
