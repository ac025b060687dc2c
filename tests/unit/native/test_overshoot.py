# SPDX-License-Identifier: Apache-2.0
"""The overshoot that a holder remembers, and where its fence is meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from held import MIB, Held, use


@pytest.fixture
def files(cgroup: Path) -> Path:
    """The cgroup's files, with 12 MiB in use."""
    for name in ("memory.numa_stat", "memory.current"):
        (cgroup / name).write_text("")
    use(cgroup, 12)
    return cgroup


@pytest.fixture
def held(files: Path) -> Iterator[Held]:
    """A holder of 12 MiB with a bound of 16."""
    with Held(files, 16) as one:
        yield one


def test_it_stays_the_most_that_was_seen(held: Held) -> None:
    assert held.looked().overshoot == 0
    held.use(19)
    assert held.until(lambda stats: stats.local == 19 * MIB).overshoot == 3 * MIB
    held.use(10)
    assert held.until(lambda stats: stats.local == 10 * MIB).overshoot == 3 * MIB
    held.set(32)
    assert held.looked().overshoot == 3 * MIB, "it was above the bound that it had then"


def test_who_is_above_a_lowered_bound_is_so_at_once(held: Held) -> None:
    held.looked()
    held.set(8)
    assert held.looked().overshoot == 4 * MIB


def test_what_cannot_be_brought_below_a_lowered_bound_is_kept_in_mind(held: Held) -> None:
    held.looked()
    held.set(8)
    held.until(lambda stats: stats.stalled)
    held.use(2)
    assert held.until(lambda stats: stats.local == 2 * MIB).overshoot == 4 * MIB


def test_a_lifted_fence_leads_by_little(held: Held) -> None:
    """A killed agent leaves the lifted fence where it is."""
    held.looked()
    held.set(8)
    for local in (12, 14, 40):
        held.use(local)
        stats = held.until(lambda stats, local=local: stats.stalled and stats.local == local * MIB)
        assert stats.fence > local * MIB
    held.until(lambda stats: stats.stalled and 0 < stats.fence - stats.current <= 2 * MIB)


def test_the_way_down_to_a_lowered_bound_is_not(held: Held) -> None:
    held.looked()
    held.set(8)
    held.looked()
    held.use(6)
    stats = held.until(lambda stats: stats.local == 6 * MIB)
    assert stats.overshoot == 0 or stats.stalls, "it took this machine half a second"


def test_who_is_found_above_the_bound_has_not_stalled_already(files: Path) -> None:
    use(files, 20)
    with Held(files, 16) as one:
        stats = one.until(lambda stats: stats.rounds > 0)
        assert stats.stalls == 0 or stats.rounds > 1
        assert one.until(lambda stats: stats.stalled).overshoot == 4 * MIB


def test_the_first_fence_counts_what_is_charged_and_on_no_list_yet(files: Path) -> None:
    """If this agent is killed, nobody moves the fence again."""
    (files / "memory.stat").write_text(f"anon 0\nkernel {MIB}\nsock 0\n")
    use(files, 100, 17)
    with Held(files, 128) as one:
        stats = one.until(lambda stats: stats.rounds > 0)
        assert 10 * MIB <= stats.fence - stats.current <= 13 * MIB
