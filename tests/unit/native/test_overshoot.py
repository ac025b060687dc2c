"""What a holder remembers of usage past the bound, on plain files in place of a cgroup's (a mock)."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocihook.native import Holder, Stats

MIB = 1 << 20
SECONDS = 30  #: a machine may be busy; a turn takes less than a millisecond


def use(cgroup: Path, local: int) -> None:
    """So many MiB are local. The widths stay, and nothing is truncated, so no text is read in part."""
    for name, text in (
        ("memory.numa_stat", f"inactive_anon N0={local * MIB:012} N1=0\n"),
        ("memory.current", f"{local * MIB:012}\n"),
    ):
        fd = os.open(cgroup / name, os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)


class Held:
    """A holder without demotion, and what it shall see."""

    def __init__(self, cgroup: Path, bound: int) -> None:
        self.cgroup = cgroup
        self.fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        self.holder = Holder(
            self.fd,
            "/a",
            local=(0,),
            far=(1,),
            bound=bound * MIB,
            nodes={},
            user_high=None,
            lru_file=None,
        )

    def use(self, local: int) -> None:
        """So much is local from now on."""
        use(self.cgroup, local)

    def set(self, bound: int) -> None:
        self.holder.set(bound * MIB, {})

    def until(self, seen: Callable[[Stats], bool]) -> Stats:
        end = time.monotonic() + SECONDS
        while not seen(stats := self.holder.stats()):
            assert time.monotonic() < end, stats
            time.sleep(0.001)
        return stats

    def looked(self) -> Stats:
        """Its stats after another whole turn."""
        rounds = self.holder.stats().rounds
        return self.until(lambda stats: stats.rounds > rounds + 1)


@pytest.fixture
def held(cgroup: Path) -> Iterator[Held]:
    """One of 12 MiB under a bound of 16."""
    for name in ("memory.numa_stat", "memory.current"):
        (cgroup / name).write_text("")
    use(cgroup, 12)
    one = Held(cgroup, 16)
    yield one
    one.holder.stop(restore=False)
    os.close(one.fd)


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
    """An agent that is killed leaves it where it is."""
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


def test_who_is_found_above_the_bound_has_not_stalled_already(cgroup: Path) -> None:
    for name in ("memory.numa_stat", "memory.current"):
        (cgroup / name).write_text("")
    use(cgroup, 20)
    one = Held(cgroup, 16)
    try:
        stats = one.until(lambda stats: stats.rounds > 0)
        assert stats.stalls == 0 or stats.rounds > 1
        assert one.until(lambda stats: stats.stalled).overshoot == 4 * MIB
    finally:
        one.holder.stop(restore=False)
        os.close(one.fd)
