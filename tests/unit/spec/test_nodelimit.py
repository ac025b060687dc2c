# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import InputError
from ocihook.spec import nodelimit

M = 1 << 20
PAGE = nodelimit.PAGE


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("N0=134217728 N1=max\n", {0: 128 * M, 1: None}),
        ("N0=128M", {0: 128 * M}),
        ("  N10=0\tN2=1G ", {10: 0, 2: 1024 * M}),
        ("", {}),
        # The largest value below "max" that the kernel keeps.
        ("N0=9223372036854767616 N1=0", {0: (1 << 63) - 8192, 1: 0}),
    ],
)
def test_the_line_of_the_kernel(text: str, limits: dict[int, int | None]) -> None:
    assert nodelimit.parse(text) == limits
    assert nodelimit.parse(nodelimit.dump(limits)) == limits


def test_the_nodes_are_written_in_their_order() -> None:
    assert nodelimit.dump({10: 4096, 2: None}) == "N2=max N10=4096"


@pytest.mark.parametrize(
    "text",
    ["0=1M", "N=1M", "N0", "N0=", "N0=x", "N0=-1", "N0=MAX", "N0=1M N0=2M", "N1024=1M", "N²=1M", "Nx=1"],
)
def test_what_the_kernel_would_refuse(text: str) -> None:
    with pytest.raises(InputError, match=r"memory\.node_limit"):
        nodelimit.parse(text)


@pytest.mark.parametrize(
    ("bound", "local", "own", "limits"),
    [
        (128 * M, (0,), {}, {0: 128 * M}),
        (128 * M, (0,), {0: 32 * M}, {0: 32 * M}),
        (128 * M, (0, 1), {}, {0: 64 * M, 1: 64 * M}),
        (128 * M, (0, 1), {0: 32 * M}, {0: 32 * M, 1: 96 * M}),
        (128 * M, (0, 1), {1: 96 * M}, {0: 64 * M, 1: 64 * M}),
        (128 * M, (0, 1), {0: 32 * M, 1: 16 * M}, {0: 32 * M, 1: 16 * M}),
        # What the smallest bound leaves makes the share larger than the next node's bound.
        (120 * M, (0, 2, 3), {0: 10 * M, 2: 50 * M}, {0: 10 * M, 2: 50 * M, 3: 60 * M}),
        (10 * PAGE, (0, 1, 2), {}, {0: 3 * PAGE, 1: 3 * PAGE, 2: 4 * PAGE}),
        (PAGE + 1, (0, 1), {}, {0: 0, 1: PAGE}),
        (2 * PAGE, (0,), {0: PAGE + 1}, {0: PAGE}),
    ],
)
def test_a_bound_by_node(
    bound: int, local: tuple[int, ...], own: dict[int, int], limits: dict[int, int]
) -> None:
    assert nodelimit.split(bound, local, own) == limits


SOME = st.integers(0, 1 << 40)


@given(SOME, st.sets(st.integers(0, 63), min_size=1, max_size=9), st.data())
def test_a_split_is_whole_pages_within_every_bound_and_wastes_none(
    bound: int, local: set[int], data: st.DataObject
) -> None:
    own = data.draw(st.dictionaries(st.sampled_from(sorted(local)), SOME))
    limits = nodelimit.split(bound, local, own)
    assert set(limits) == local
    assert all(value >= 0 and value % PAGE == 0 for value in limits.values())
    assert all(limits[node] <= value for node, value in own.items())
    possible = sum(min(own.get(node, bound), bound) // PAGE for node in local)
    assert sum(limits.values()) == min(bound // PAGE, possible) * PAGE
    level = max(limits.values())
    for node, value in limits.items():
        # A node has less than the others only because of its own bound.
        assert value + PAGE >= level or value == own[node] // PAGE * PAGE


def test_own_bounds_are_read_from_the_split_they_made() -> None:
    own = {0: 16 * M, 1: 40 * M}
    assert nodelimit.own_of(nodelimit.split(128 * M, (0, 1, 2), own)) == own
    assert nodelimit.own_of(nodelimit.split(10 * PAGE, (0, 1, 2), {})) == {}
    assert nodelimit.own_of({}) == {}
    # A node's bound that is larger than an even share leaves no trace.
    assert nodelimit.own_of(nodelimit.split(64 * M, (0, 1), {0: 48 * M})) == {}


def test_the_smaller_of_two_by_node() -> None:
    given = {0: 64 * M, 1: 32 * M, 2: None, 3: 5 * M, 4: None}
    ours = {0: 32 * M, 1: 64 * M, 2: 16 * M, 5: 8 * M}
    both = {0: 32 * M, 1: 32 * M, 2: 16 * M, 3: 5 * M, 4: None, 5: 8 * M}
    assert nodelimit.smaller(given, ours) == both


@pytest.mark.parametrize(
    ("limits", "local", "bound"),
    [
        ({0: 5, 1: None}, (0,), 5),
        ({0: 5, 1: 6, 2: None}, (0, 1), 11),
        ({0: 5, 1: None}, (0, 1), None),
        ({0: 0}, (0,), 0),
        ({0: 5}, (0, 1), None),
        ({0: 5}, (), None),
    ],
)
def test_a_bound_needs_a_limit_on_every_local_node(
    limits: dict[int, int | None], local: tuple[int, ...], bound: int | None
) -> None:
    assert nodelimit.bound_of(limits, local) == bound
