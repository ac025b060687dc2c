# SPDX-License-Identifier: Apache-2.0
"""The order in which a node changes bounds: their sum passes its memory at no step."""

from hypothesis import given
from hypothesis import strategies as st

from ocihook.cluster.node import plan
from ocihook.cluster.objects import Bound, Slot
from ocihook.control.status import Status
from ocihook.host import PAGE


def status(name: str, bound: int, borrows: bool = False) -> Status:
    return Status(name, f"/{name}", bound, 0, 0, "tier", pod_uid="pod", pod_container=name, borrows=borrows)


_sizes = st.integers(1, 50).map(lambda pages: pages * PAGE)


def bound(name: str, size: int, request: int | None = None) -> Bound:
    return Bound(Slot("pod", name), size, size if request is None else request)


@given(
    st.lists(st.tuples(_sizes, st.none() | _sizes), max_size=8),
    _sizes,
)
def test_the_sum_is_kept(bounds: list[tuple[int, int | None]], spare: int) -> None:
    held = [status(str(at), bound) for at, (bound, _) in enumerate(bounds)]
    wanted = [bound(str(at), want) for at, (_, want) in enumerate(bounds) if want is not None]
    capacity = sum(bound for bound, _ in bounds) + spare
    now = {one.id: one.bound for one in held}
    found = plan.changes(held, wanted, capacity)
    for container, size in found.changes:
        assert size != now[container.id]
        now[container.id] = size
        assert sum(now.values()) <= capacity
    for at, (size, want) in enumerate(bounds):
        refused = Slot("pod", str(at)) in found.refused
        assert now[str(at)] == (size if refused or want is None else want)
        assert not refused or (want or 0) > size
    if sum(want if want is not None else bound for bound, want in bounds) <= capacity:
        assert not found.refused


def test_what_is_one_number_of_pages_is_one_bound() -> None:
    held = [status("a", 591134720)]  # a patched kernel counts pages
    assert plan.changes(held, [bound("a", 591137490)], 1 << 40).changes == []


def test_why_a_bound_does_not_fit() -> None:
    held = [status("a", 64 << 20), status("b", 64 << 20)]
    found = plan.changes(held, [bound("a", 128 << 20)], 160 << 20)
    assert found.changes == []
    assert found.refused == {
        Slot("pod", "a"): "a bound of 128Mi does not fit: 96Mi of the node's local memory are left for it"
    }


def test_a_host_over_its_capacity_may_still_shrink() -> None:
    held = [status("a", 100 * PAGE), status("b", 100 * PAGE)]
    wanted = [bound("a", 80 * PAGE), bound("b", 110 * PAGE)]
    found = plan.changes(held, wanted, 150 * PAGE)
    assert [(one.container.id, one.size) for one in found.changes] == [("a", 80 * PAGE)]
    assert list(found.refused) == [Slot("pod", "b")]


def test_what_is_lent_is_taken_back_at_once_where_there_is_no_room() -> None:
    """A container has just started, with all that it requested, and others still have some of that."""
    names = ("new", "grown", "borrower", "other")
    held = [status(name, 64 << 20) for name in names]
    bounds = [
        bound("new", 64 << 20),
        bound("grown", 64 << 20, 48 << 20),
        bound("borrower", 64 << 20, 0),
        bound("other", 64 << 20),
    ]
    assert plan.changes(held, bounds, 256 << 20).changes == []
    found = plan.changes(held, bounds, 240 << 20)
    assert [(one.container.id, one.size) for one in found.changes] == [("borrower", 4 << 20)]
    found = plan.changes(held, bounds, 190 << 20)
    assert {one.container.id: one.size >> 20 for one in found.changes} == {"borrower": 4, "grown": 48}
    assert found.refused == {}


def test_a_borrower_of_which_the_node_was_not_told_gives_way_as_well() -> None:
    """Where no controller is there, borrowers start, lenders end, and others start in their place."""
    held = [status("new", 64 << 20), status("small", 32 << 20, True), status("large", 96 << 20, True)]
    assert plan.changes(held, [], 192 << 20).changes == []
    found = plan.changes(held, [], 191 << 20)
    assert [(one.container.id, one.size) for one in found.changes] == [("large", 4 << 20)]
    # What the node was told counts, and not what the pod says.
    told = [bound("small", 32 << 20), bound("large", 96 << 20, 0)]
    found = plan.changes(held, told, 64 << 20)
    assert [(one.container.id, one.size) for one in found.changes] == [("large", 4 << 20)]
