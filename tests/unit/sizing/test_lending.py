# SPDX-License-Identifier: Apache-2.0
import dataclasses
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import InputError
from ocihook.sizing import lending
from ocihook.sizing.lending import (
    CHURN,
    MINIMUM,
    PAGE,
    Borrower,
    Change,
    Container,
    Plan,
    applied,
    fair,
    plan,
)
from ocihook.sizing.recommend import Recommendation
from ocihook.spec import annotation

MIB = 1 << 20
GIB = 1 << 30


def advice(floor: int, target: int, most: int) -> Recommendation:
    return Recommendation(floor * MIB, target * MIB, most * MIB, 0.9)


@dataclasses.dataclass
class Node:
    """A node whose bounds are what the plans have set; each change is checked."""

    total: int
    containers: list[Container]
    borrowers: list[Borrower] = dataclasses.field(default_factory=list)

    @property
    def used(self) -> int:
        return sum(one.bound for one in self.containers) + sum(one.bound for one in self.borrowers)

    def settle(self) -> Plan:
        """Make a plan and its changes, and check all that has to be true at each step and afterwards."""
        first = plan(self.total, self.containers, self.borrowers)
        grown = False
        for change in first.changes:
            before = self.used
            self.containers, self.borrowers = applied(self.containers, self.borrowers, change)
            assert self.used <= max(self.total, before if change.after < change.before else 0)
            assert change.after >= MINIMUM or change.key in first.evicted
            # All that shrinks does so before anything grows.
            grown = grown or change.after > change.before
            assert not grown or change.after > change.before
        assert self.used <= self.total
        for one in self.containers:
            floor = MINIMUM if one.advice is None else max(one.advice.floor, MINIMUM)
            assert one.bound >= min(floor, one.request)
            assert one.bound >= one.kept  # whoever needs its request has it
        running = [one for one in self.borrowers if one.key not in first.waiting]
        assert all(one.floor <= one.bound <= one.wants * (1 + CHURN) for one in running)
        assert not any(one.bound for one in self.borrowers if one.key in first.waiting)
        assert sum(one.bound for one in running) <= first.lendable * (1 + CHURN) + 1
        assert first.lendable <= self.total
        # Planned again there is nothing to do.
        assert plan(self.total, self.containers, self.borrowers).changes == ()
        return first


def test_the_smallest_bound_is_that_of_an_annotation() -> None:
    assert lending.MINIMUM == annotation.MINIMUM


def test_nobody_lends_while_nobody_wants_anything() -> None:
    node = Node(10 * GIB, [Container("a", 4 * GIB, 0, advice(512, 1024, 2048)), Container("b", GIB, 0)])
    assert node.settle().lendable == 8 * GIB
    assert [one.bound for one in node.containers] == [4 * GIB, GIB]


def test_lenders_lend_as_much_as_is_wanted_and_have_it_back_at_once() -> None:
    lender = Container("lender", 4 * GIB, 4 * GIB, advice(512, 1024, 2048))
    node = Node(4 * GIB, [lender], [Borrower("guest", 2 * GIB, 0)])
    changes = node.settle().changes
    assert changes == (Change("lender", 4 * GIB, 2 * GIB), Change("guest", 0, 2 * GIB))
    # It suffers, and needs all of its request: there is no room for the guest.
    node.containers[0] = dataclasses.replace(node.containers[0], suffers=True)
    done = node.settle()
    assert done.changes == (Change("guest", 2 * GIB, 0), Change("lender", 2 * GIB, 4 * GIB))
    assert done.evicted == ("guest",)


def test_borrowers_shrink_before_one_is_evicted() -> None:
    guests = [Borrower("a", GIB, GIB, floor=256 * MIB), Borrower("b", GIB, GIB, floor=256 * MIB)]
    node = Node(4 * GIB, [Container("owner", 2 * GIB, 2 * GIB), Container("new", GIB, 0)], guests)
    assert not node.settle().evicted
    assert [one.bound for one in node.borrowers] == [512 * MIB, 512 * MIB]
    node.containers.append(Container("newer", GIB - 300 * MIB, 0))
    assert node.settle().evicted == ("b",)
    assert node.borrowers[0].bound == 300 * MIB


def test_a_request_is_met_whatever_is_lent() -> None:
    lenders = [Container(f"l{at}", GIB, GIB, advice(64, 128, 256)) for at in range(4)]
    node = Node(8 * GIB, lenders, [Borrower(f"b{at}", 2 * GIB, 0) for at in range(5)])
    node.settle()
    node.containers.append(Container("new", 4 * GIB, 0))
    node.settle()
    assert node.containers[-1].bound == 4 * GIB


def test_who_has_a_higher_priority_gets_more_first_and_lends_last() -> None:
    lenders = [Container(name, GIB, GIB, advice(64, 512, 512), priority=at) for at, name in enumerate("lh")]
    guests = [Borrower("low", GIB, 0), Borrower("high", 400 * MIB, 0, priority=1)]
    node = Node(2 * GIB, lenders, guests[1:])
    node.settle()
    assert [one.bound for one in node.containers] == [GIB - 400 * MIB, GIB]
    node.borrowers.insert(0, guests[0])
    node.settle()
    assert [one.bound for one in node.borrowers] == [GIB - 400 * MIB, 400 * MIB]


def test_who_suffers_gets_more_than_its_request_and_keeps_it_while_nobody_else_wants_it() -> None:
    node = Node(4 * GIB, [Container("one", GIB, GIB, advice(512, 1024, 3072), suffers=True)])
    node.settle()
    assert node.containers[0].bound == 3 * GIB
    node.containers[0] = dataclasses.replace(node.containers[0], suffers=False)
    assert node.settle().changes == ()
    node.borrowers.append(Borrower("guest", 2 * GIB, 0))
    node.settle()
    assert (node.containers[0].bound, node.borrowers[0].bound) == (GIB + 3 * GIB // 2, 3 * GIB // 2)


def test_who_suffers_gets_what_has_helped_if_nothing_is_recommended() -> None:
    node = Node(4 * GIB, [Container("one", GIB, GIB, suffers=True)])
    node.settle()
    assert node.containers[0].bound == GIB * 5 // 4
    node.containers[0] = dataclasses.replace(node.containers[0], suffers=False)
    assert node.settle().changes == ()


def test_small_differences_change_nothing_unless_somebody_needs_them() -> None:
    node = Node(2 * GIB, [Container("a", GIB, GIB, advice(256, 512, 512))], [Borrower("b", 1400 * MIB, 0)])
    node.settle()
    was = node.containers[0].bound
    node.borrowers[0] = dataclasses.replace(node.borrowers[0], wants=1370 * MIB)
    assert node.settle().changes == ()
    # What it is recommended at least it gets, to the byte.
    node.containers[0] = dataclasses.replace(node.containers[0], advice=advice(256, was // MIB + 10, 1024))
    node.settle()
    assert node.containers[0].bound >= was + 10 * MIB


def test_a_reserve_that_has_grown_is_made_room_for() -> None:
    node = Node(2 * GIB, [Container("a", GIB, GIB)], [Borrower("b", GIB, GIB)])
    node.total = GIB + 100 * MIB
    node.settle()
    assert node.borrowers[0].bound == 100 * MIB


def test_what_is_impossible_is_refused_with_a_hint() -> None:
    for total, containers, borrowers in (
        (GIB, [Container("a", 2 * GIB, 0)], []),
        (GIB, [Container("a", MIB, 0)], []),
        (GIB, [Container("a", 8 * MIB, -1)], []),
        (GIB, [Container("a", 8 * MIB, 0)], [Borrower("a", 8 * MIB, 0)]),
        (GIB, [], [Borrower("a", MIB, 0)]),
        (GIB, [], [Borrower("a", 8 * MIB, 0, floor=9 * MIB)]),
    ):
        with pytest.raises(InputError) as caught:
            plan(total, containers, borrowers)
        assert caught.value.hint


CLAIM = st.tuples(st.integers(0, 1 << 30), st.integers(0, 1 << 34)).map(lambda pair: (pair[0], sum(pair)))


@given(st.lists(CLAIM, max_size=20), st.integers(0, 1 << 36))
def test_a_fair_share_leaves_nothing_and_nobody_has_more_than_who_wants_more(
    claims: list[tuple[int, int]], spare: int
) -> None:
    named = {str(at): claim for at, claim in enumerate(claims)}
    amount = sum(least for least, _ in claims) + spare
    shares = fair(amount, named)
    assert all(least <= shares[key] <= most for key, (least, most) in named.items())
    assert sum(shares.values()) <= amount
    short = [key for key, (_, most) in named.items() if shares[key] < most]
    # Where somebody wants more, less than a page is left over.
    assert not short or amount - sum(shares.values()) < PAGE
    for key in short:
        assert all(shares[key] >= share - PAGE for other, share in shares.items() if share > named[other][0])


SIZE = st.integers(MINIMUM, 4 * GIB)
ADVICE = st.lists(st.integers(1, 6 * GIB), min_size=3, max_size=3).map(
    lambda all: Recommendation(*sorted(all), 0.9)
)
CONTAINER = st.builds(
    Container,
    key=st.just(""),
    request=SIZE,
    bound=st.just(0) | SIZE,
    advice=st.none() | ADVICE,
    suffers=st.booleans(),
    priority=st.integers(0, 2),
)
BORROWER = st.builds(
    lambda sizes, bound, priority: Borrower("", max(sizes), bound, min(sizes), priority),
    st.tuples(SIZE, SIZE),
    st.just(0) | SIZE,
    st.integers(0, 2),
)


@given(st.lists(CONTAINER, max_size=8), st.lists(BORROWER, max_size=8), st.integers(0, 8 * GIB))
def test_the_invariants_hold_for_any_node(
    containers: list[Container], borrowers: list[Borrower], spare: int
) -> None:
    """Even if the bounds before do not fit."""
    named = [dataclasses.replace(one, key=f"c{at}") for at, one in enumerate(containers)]
    guests = [dataclasses.replace(one, key=f"b{at}") for at, one in enumerate(borrowers)]
    Node(sum(one.request for one in named) + spare, named, guests).settle()


@pytest.mark.parametrize("most", [1, 10, 60, 200])
def test_a_storm_of_arrivals_changes_and_departures(most: int) -> None:
    """All of the invariants hold at each step, and each request is met at once."""
    random = Random(most)
    node, total = Node(64 * GIB, []), 64 * GIB
    evictions = lent = highest = 0
    for number in range(300 if most < 200 else 150):
        for _ in range(random.randint(1, max(most // 10, 1))):
            _happen(node, random, most, f"{number}-{random.random()}")
        node.total = total - random.choice((0, 0, 0, GIB))  # the reserve
        while sum(one.request for one in node.containers) > node.total:
            node.containers.pop()  # the scheduler would not have let it in
        done = node.settle()
        evictions += len(done.evicted)
        lent += sum(one.bound for one in node.borrowers)
        highest = max(highest, len(node.containers) + len(node.borrowers))
    assert highest >= 0.9 * most
    assert most == 1 or (evictions and lent)


def _happen(node: Node, random: Random, most: int, name: str) -> None:
    size = max(round(node.total / most * random.uniform(0, 4)), MINIMUM)
    event = random.random()
    free = node.total - sum(one.request for one in node.containers)
    many = len(node.containers) + len(node.borrowers) >= most
    if event < 0.25 and size <= free and not many:
        node.containers.append(Container(name, size, 0, priority=random.randint(0, 2)))
    elif event < 0.45 and not many:
        floor = random.randint(MINIMUM, size)
        node.borrowers.append(Borrower(name, size, 0, floor, random.randint(0, 2)))
    elif event < 0.5 and node.containers:
        del node.containers[random.randrange(len(node.containers))]
    elif event < 0.55 and node.borrowers:
        del node.borrowers[random.randrange(len(node.borrowers))]
    elif node.containers:
        at = random.randrange(len(node.containers))
        one = node.containers[at]
        sizes = sorted(max(round(one.request * random.uniform(0.1, 2)), 1) for _ in range(3))
        found = random.choice((None, Recommendation(*sizes, 0.9)))
        node.containers[at] = dataclasses.replace(one, advice=found, suffers=random.random() < 0.2)
