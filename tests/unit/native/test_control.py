# SPDX-License-Identifier: Apache-2.0
"""The control law: where the fence belongs, and which node has to give pages."""

from typing import Any

import pytest
from simulation import BATCH, Killed, Machine

from ocihook import _native

MIB = 1 << 20
NONE = 2**64 - 1


class Law:
    """A control with a clock of its own; sizes in MiB."""

    def __init__(self, bound: int = 128, local: int = 0b1, far: int = 0b10) -> None:
        self.raw: Any = _native.ffi.new("struct bede_control *")
        self.raw.local_mask, self.raw.far_mask, self.raw.bound, self.raw.cpus = local, far, bound * MIB, 2
        self.raw.kernel = NONE
        for node in range(64):
            self.raw.node_bound[node] = NONE
        self.at = 0

    def see(
        self, *nodes: float, file: float = 0, huge: float = 0, after_ms: int = 10, more: float = 0
    ) -> "Law":
        self.at += after_ms * 1000
        for node, size in enumerate(nodes):
            self.raw.numa.lru[node] = int(size * MIB)
        self.raw.numa.file[0], self.raw.numa.huge[0] = int(file * MIB), int(huge * MIB)
        _native.lib.bede_control_observe(self.raw, self.at, int((sum(nodes) + more) * MIB))
        return self

    @property
    def room(self) -> float:
        return float(_native.lib.bede_control_room(self.raw)) / MIB

    def excess(self) -> tuple[float, int]:
        node = _native.ffi.new("int *")
        size = _native.lib.bede_control_excess(self.raw, node)
        return size / MIB, node[0]


def test_local_and_far_are_told_apart() -> None:
    law = Law(local=0b101, far=0b010).see(10, 20, 30)
    assert (law.raw.local, law.raw.far) == (40 * MIB, 20 * MIB)


@pytest.mark.parametrize(
    ("file", "mapped", "shmem", "cache"),
    [(50, 0, 0, 50), (50, 20, 0, 30), (50, 70, 30, 10), (50, 70, 10, 0), (50, 10, 30, 50)],
    ids=["read", "some mapped", "shared memory is mapped, too", "all mapped", "not all shared memory is"],
)
def test_page_cache_that_nobody_has_mapped(file: int, mapped: int, shmem: int, cache: int) -> None:
    law = Law().see(100, 30, file=file)
    law.raw.numa.mapped[0], law.raw.numa.shmem[0] = mapped * MIB, shmem * MIB
    law.raw.numa.file[1] = 7 * MIB
    assert _native.lib.bede_control_cache(law.raw, 0b01) == cache * MIB
    assert _native.lib.bede_control_cache(law.raw, 0b11) == (file + 7) * MIB - (file - cache) * MIB


def test_the_room_ends_before_the_bound() -> None:
    law = Law().see(100)
    assert 26.9 < law.room < 28
    assert law.see(128).room == 0
    assert law.see(500).room == 0


def test_nothing_is_demoted_from_who_is_below_the_watermark() -> None:
    assert Law().see(120).excess()[0] == 0


def test_what_is_above_the_watermark_is_demoted_from_its_node() -> None:
    size, node = Law().see(128).see(128).excess()
    assert 0 < size < 128 * 0.03
    assert node == 0


def test_the_fuller_local_node_gives() -> None:
    law = Law(local=0b101, far=0b010)
    assert law.see(50, 100, 90).excess()[1] == 2
    assert law.see(90, 100, 50).excess()[1] == 0


def test_a_nodes_own_bound_counts_too() -> None:
    law = Law(local=0b101, far=0b010)
    law.raw.node_bound[2] = 20 * MIB
    size, node = law.see(10, 0, 25).excess()
    assert node == 2
    assert 5 < size < 6
    assert law.room == 0
    assert law.see(90, 0, 15).room == pytest.approx(5)


def test_page_cache_gets_a_wider_margin_than_anonymous_memory() -> None:
    cache, anon = Law(), Law()
    for size in range(0, 126, 2):
        cache.see(size, file=size)
        anon.see(size)
    assert cache.raw.file_share > 0.9 > 0.1 > anon.raw.file_share
    assert cache.excess()[0] > 5 * anon.excess()[0]
    assert cache.room < anon.room


def cache_law(rate: float, seconds: float = 8, pause: int = 10) -> Law:
    """A law that has seen *rate* MiB of page cache a second come; what exceeds 120 MiB is demoted at once."""
    law, total = Law(), 0.0
    while law.at < seconds * 1e6:
        total += rate * pause / 1000
        law.see(min(total, 120), max(total - 120, 0), file=total, after_ms=pause)
    return law


def low(law: Law) -> float:
    """Above so many MiB of local usage pages are demoted."""
    local, far = law.raw.local / MIB, law.raw.far / MIB
    return 200 - law.see(200, far + local - 200, file=far + local, after_ms=0).excess()[0]


def test_page_cache_that_comes_slowly_may_use_nine_tenths_of_the_bound() -> None:
    assert low(cache_law(35)) > 0.9 * 128


def test_page_cache_that_comes_fast_is_kept_away_from_the_fence_only_while_it_comes() -> None:
    fast = cache_law(500)
    assert low(fast) < 0.75 * 128
    for _ in range(20):
        fast.see(90, 3910, file=4000, after_ms=100)
    assert low(fast) > 0.9 * 128


def test_huge_pages_in_flight_keep_the_fence_away_from_the_bound() -> None:
    flying, landed = Law(), Law()
    flying.raw.kernel = landed.raw.kernel = 0
    for size in range(0, 112, 2):
        flying.see(size, huge=size, more=4)
        landed.see(size, huge=size)
    assert 1 < landed.room - flying.room < 4


def test_what_is_charged_but_on_no_list_yet_is_counted_but_kernel_memory_is_not() -> None:
    law = Law()
    law.raw.kernel = 20 * MIB
    assert law.see(100, more=20).room == Law().see(100).room
    assert law.see(100, more=32).room == pytest.approx(Law().see(100).room - 11)
    assert law.see(100, more=500).room > 0, "whatever is not understood must not strangle"


def test_the_faster_it_grows_the_sooner_it_is_looked_at_again() -> None:
    calm = Law().see(10).see(10)
    busy = Law().see(10).see(20)
    wait = [_native.lib.bede_control_wait(law.raw, 50 * MIB) for law in (calm, busy)]
    assert wait[0] == 100_000
    assert 1_000 <= wait[1] < wait[0]


def test_a_small_bound_and_an_empty_cgroup() -> None:
    law = Law(bound=4).see(0)
    assert law.excess()[0] == 0
    assert 3.9 < law.room < 4


def wait(law: Law) -> int:
    return int(_native.lib.bede_control_wait(law.raw, int(law.room * MIB)))


def test_near_the_bound_it_is_looked_at_often_until_nothing_moves() -> None:
    law = Law().see(120).see(120.1, after_ms=1000)
    assert wait(law) <= 4_000
    waits = [wait(law.see(120.1)) for _ in range(40)]
    assert waits == sorted(waits)
    assert waits[-1] == 100_000
    assert wait(law.see(120.0, 0.1)) <= 4_000


def test_the_second_look_follows_the_first_at_once() -> None:
    law = Law().see(10)
    assert wait(law) == 1_000
    assert wait(law.see(10)) == 100_000


def test_local_usage_that_grows_while_the_total_stands_is_growth() -> None:
    promoted = Law().see(50, 50).see(60, 40)
    assert promoted.raw.rate > 0
    assert wait(promoted) < 100_000


def test_promotion_has_no_fence_and_so_gets_a_wider_margin() -> None:
    promoted, charged = Law(), Law()
    for size in range(60, 126):
        promoted.see(size, 400 - size)
        charged.see(size)
    assert promoted.raw.promoted_share > 0.9 > 0.1 > charged.raw.promoted_share
    assert promoted.excess()[0] > 5 * charged.excess()[0]


#: (CPUs, bound in MiB), at least 2 MiB for each CPU: a smaller bound cannot be held so closely
SIZES = [
    (cpus, bound)
    for cpus in (1, 2, 4, 8, 16, 32, 64, 128, 256)
    for bound in (128, 1024, 8192)
    if bound >= 2 * cpus
]


@pytest.mark.parametrize(("cpus", "bound"), SIZES)
def test_on_many_processors_at_once(cpus: int, bound: int) -> None:
    """Each CPU may have one batch charged, one that no statistics show, and one on its way past the fence."""
    machine = Machine(cpus, bound * MIB).run(2 * bound * MIB)
    assert machine.over < 0.01
    assert machine.mean > 0.98 - 3 * BATCH * cpus / (bound * MIB) / 2


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_the_hosts_processors_cost_who_has_few_of_them(cpus: int) -> None:
    own, hosts = (Machine(cpus, 1024 * MIB, told).run(2048 * MIB) for told in (cpus, 256))
    assert own.over == hosts.over == 0
    assert own.mean > hosts.mean + 0.003


def test_what_is_charged_but_on_no_list_yet_counts_also_later() -> None:
    """The next agent knows nothing of the past, and may be killed, too: then its fence stays."""
    law = Law()
    law.raw.kernel = 0
    for size in range(0, 100, 4):
        law.see(size)
    law.see(100, 20).see(100, 30)
    assert law.raw.settled
    assert law.see(100, 30, more=17).room == pytest.approx(law.see(100, 30).room - 16, abs=0.1)


def test_who_begins_at_the_bound_has_seen_no_demotion_get_going() -> None:
    law = Law()
    law.raw.kernel = 0
    law.see(110, 300, huge=410, more=17)
    assert not law.raw.settled
    assert law.raw.huge_share == 1, "what there is, is its past"
    assert law.room < 1.1
    assert law.see(110, 305, huge=415, more=17).raw.settled == 0
    assert law.see(110, 310, huge=420, more=17).raw.settled == 1


@pytest.mark.parametrize("life", [(0.02, 0.15), (0.05, 0.9)], ids=["short", "long"])
def test_agents_that_are_killed_over_and_over(life: tuple[float, float]) -> None:
    """Each agent finds huge pages in flight that it knows nothing about, and leaves its fence behind."""
    runs = [Killed(seed, 8, 128 * MIB, life, (0.1, 0.8)).run(1024 * MIB) for seed in range(6)]
    assert max(run.over for run in runs) < 0.02
