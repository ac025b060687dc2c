# SPDX-License-Identifier: Apache-2.0
"""What a cgroup has when the first limit covers it, on the patched kernel: nothing is counted before.

The truth is /proc/kpagecgroup, which has the cgroup of every page frame.
"""

import subprocess
import time

import audit
import bounds
import pytest
from helpers import CGROUPS
from limited import (
    LOADS,
    LOCKED,
    LRU_GEN,
    MIB,
    Group,
    complaints,
    drained,
    knobs,
    pairs,
    uncached,
    undisturbed,
    wait_until,
    write,
)
from on import PATCHED, on

AMPLE = "N0=900M"

pytestmark = [on(PATCHED, two=True), pytest.mark.usefixtures("swap")]


@pytest.fixture(params=("7", "0"), ids=("generations", "two lists"))
def lru(request):
    """Either LRU."""
    with knobs({LRU_GEN: request.param}):
        yield


def is_so(group, *children):
    """Whether what the kernel has counted is what the group and its *children* have on the LRU."""
    found = drained(lambda: [audit.pages(group.path / below) for below in ("", *children)])
    return group.current() == {0: sum(local for local, _ in found), 1: sum(far for _, far in found)}


def test_the_first_limit_counts_what_is_there(lru):
    with uncached("first.bin", 24) as file, Group() as group, undisturbed():
        group.divide("a", "b")
        locked = group.start(*LOCKED, "12", below="a", stdin=subprocess.PIPE)
        assert locked.stdout.readline() == "0\n"
        group.start("sh", "-c", f"cat {file} >/dev/null; exec sleep 600", below="a")
        group.start("numactl", "--interleave=all", *LOADS, "anon", "32", "4", "600", below="b")
        group.start(*LOADS, "anon", "32", "1", "600", "thp", below="b")
        wait_until("all have what they want", lambda: group.total() >= 98 * MIB)
        group.limit(AMPLE)
        wait_until("counted is what is there", lambda: is_so(group, "a", "b"))
        counted = group.current()
        assert counted[1] >= 15 * MIB
        by_child = [group.current(child) for child in ("a", "b")]
        assert counted == {node: sum(one[node] for one in by_child) for node in counted}
        # What moves remains counted: each page once.
        group.limit("N0=48M")
        assert group.local() <= 48 * MIB
        wait_until("they agree again", lambda: is_so(group, "a", "b"))


def test_limits_come_and_go_and_nothing_is_counted_twice(lru):
    before = complaints()
    with Group() as group:
        storm = [group.start(*LOADS, "anon", "24", "2", "0") for _ in range(2)]
        led = group.lead(24)
        for turn in range(30):
            group.limit(AMPLE if turn % 2 else "N0=max")
            time.sleep(0.05)
            storm = [
                one if one.poll() is None else group.start(*LOADS, "anon", "24", "2", "0") for one in storm
            ]
        group.limit(AMPLE)
        for one in storm:
            one.communicate(timeout=120)
        wait_until("counted is what is there", lambda: is_so(group))
        assert group.local() >= 24 * MIB
        for one in led:
            one.stdin.close()
            assert one.wait(60) == 0
        bounds.forget_page_cache()
        wait_until("nothing is left", lambda: group.current() == {0: 0, 1: 0})
    assert complaints() == before


def test_a_limit_above_counts_what_was_not_and_no_more():
    """A child has a limit of its own first; the parent's counts the child's sibling."""
    with Group() as group, undisturbed():
        group.divide("limited", "free")
        write(group.path / "limited/memory.node_limit", AMPLE)
        command = [*LOADS, "anon", "24", "1", "600"]
        for child in ("limited", "free"):
            group.start(*command, below=child)
        wait_until("both are filled", lambda: group.total() >= 47 * MIB)
        group.limit("N0=32M")
        assert group.local() <= 32 * MIB
        wait_until("counted is what is there", lambda: is_so(group, "limited", "free"))
        write(group.path / "limited/memory.node_limit", "N0=max")
        group.limit("N0=max")
        group.limit(AMPLE)
        wait_until("it is so again", lambda: is_so(group, "limited", "free"))


def test_a_limit_goes_with_its_controller():
    """The io controller needs the memory controller, which remains so, without its files."""
    write(CGROUPS / "cgroup.subtree_control", "+io")
    with Group() as group, undisturbed():
        write(group.path / "cgroup.subtree_control", "+memory +io")
        child = group.path / "child"
        child.mkdir()
        write(child / "memory.node_limit", "N0=8M")
        write(group.path / "cgroup.subtree_control", "-memory")
        assert not (child / "memory.node_limit").exists()
        group.start(*LOADS, "anon", "24", "1", "60", below="child")
        wait_until("it is filled", lambda: group.total() >= 23 * MIB)
        write(group.path / "cgroup.subtree_control", "+memory")
        assert set(pairs((child / "memory.node_limit").read_text()).values()) == {float("inf")}
        assert group.local() >= 23 * MIB


def test_what_is_charged_later_is_counted_as_before():
    with Group(limit=AMPLE) as group, undisturbed():
        (led,) = group.lead(24)
        wait_until("counted is what is there", lambda: is_so(group))
        led.stdin.close()
        assert led.wait(60) == 0
