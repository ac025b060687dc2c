# SPDX-License-Identifier: Apache-2.0
"""Whose pages the patched kernel moves away, by either LRU, and when it gives up."""

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path

import bounds
import pytest
from helpers import CGROUPS
from limited import (
    LOADS,
    LOCKED,
    LRU_GEN,
    MIB,
    Group,
    drained,
    knobs,
    slack,
    uncached,
    undisturbed,
    vmstat,
    wait_until,
    write,
)
from on import PATCHED, on

TRACING = Path("/sys/kernel/tracing")
CPU1 = Path("/sys/devices/system/cpu/cpu1/online")
CHILDREN = 8
#: Reads a file three times: the LRU of two lists then has it on the active one.
READ_THRICE = "for i in 1 2 3; do cat {} >/dev/null; done"

pytestmark = [on(PATCHED, two=True), pytest.mark.usefixtures("swap")]


@pytest.mark.parametrize("enabled", ("7", "0"), ids=("generations", "two lists"))
def test_page_cache_in_use_moves_as_well(enabled):
    with knobs({LRU_GEN: enabled}), uncached("thrice.bin", 96) as file, Group() as group, undisturbed():
        read = group.start("numactl", "--membind=0", "sh", "-c", READ_THRICE.format(file))
        assert read.wait(120) == 0
        assert group.local() >= 90 * MIB
        total = group.total()
        group.limit("N0=16M")
        assert group.local() <= 16 * MIB
        assert group.total() >= total - MIB


def test_no_child_gives_for_all():
    """Small numbers are demoted one after another: from the first child alone it would be all that it has."""
    with family(CHILDREN + 1) as (group, children), undisturbed():
        for child in children[:-1]:
            group.start(*LOADS, "anon", "7", "1", "120", below=child)
        wait_until("all are full", lambda: group.local() >= CHILDREN * 7 * MIB)
        group.limit("N0=96M")
        before = [group.local(child) for child in children[:-1]]
        bind = ["numactl", "--membind=0", *LOADS, "anon", "64", "1", "120"]
        group.start(*bind, below=children[-1])
        wait_until("the last one is full", lambda: group.total() >= (CHILDREN * 7 + 64) * MIB)
        lost = [was - group.local(child) for was, child in zip(before, children[:-1], strict=True)]
        print(f"lost in KiB: {[one >> 10 for one in lost]}; highest {group.local() / MIB:.1f} of 96 MiB")
        assert group.local() <= 96 * MIB + slack(96)
        assert sum(lost) >= 4 * MIB
        assert max(lost) <= max(before) / 2


@pytest.mark.parametrize("kind", ("memory.min", "memory.low"))
def test_what_is_protected_moves_last(kind):
    with family(2) as (group, (kept, other)), undisturbed():
        write(group.path / kind, "64M")
        write(group.path / kept / kind, "64M")
        for child in (kept, other):
            group.start(*LOADS, "anon", "32", "1", "120", below=child)
        wait_until("both are full", lambda: drained(group.local) >= 64 * MIB)
        before = group.local(kept)
        group.limit("N0=40M")
        assert group.local(kept) >= before - MIB
        assert group.local() <= 40 * MIB
        group.limit("N0=16M")  # there is no other way to hold it
        assert group.local() <= 16 * MIB
        assert group.local(other) <= MIB


def test_what_is_protected_stays_where_many_search_at_once():
    """Who demotes takes folios off their lists for a moment: others who find none then may not take those."""
    with family(2) as (group, (kept, other)), undisturbed():
        write(group.path / "memory.low", "64M")
        write(group.path / kept / "memory.low", "64M")
        group.start(*LOADS, "anon", "32", "1", "120", below=kept)
        wait_until("it is full", lambda: drained(lambda: group.local(kept)) >= 32 * MIB)
        before = group.local(kept)
        group.limit("N0=40M")
        # Bound to the node, they are placed there in spite of the limit, and each of them makes room.
        bind = ["numactl", "--membind=0", *LOADS, "anon", "256", "8", "120"]
        group.start(*bind, below=other)
        wait_until("all is there", lambda: group.total() >= 288 * MIB)
        lost = before - group.local(kept)
        print(f"lost {lost / MIB:.1f} MiB; {drained(group.local) / MIB:.1f} of 40 MiB")
        assert lost <= MIB
        wait_until("the limit is kept", lambda: group.local() <= 40 * MIB)


def test_a_cgroup_can_be_removed_while_its_limit_is_lowered():
    """rmdir(2) waits for the writer, and everybody who makes or removes a cgroup waits for rmdir(2)."""
    path = bounds.WORK / "removed.bin"
    path.write_bytes(b"x" * 256 * MIB)
    os.sync()
    bounds.forget_page_cache()
    group = CGROUPS / "removed"
    group.mkdir()
    enter = f"echo $$ >{group}/cgroup.procs; exec numactl --membind=0 cat {path} >/dev/null"
    assert subprocess.run(["sh", "-c", enter], check=False).returncode == 0
    moved = vmstat("pgmigrate_success")["pgmigrate_success"]

    def since():
        return (vmstat("pgmigrate_success")["pgmigrate_success"] - moved) * 4096

    writer = threading.Thread(target=write, args=(group / "memory.node_limit", "N0=0"))
    writer.start()
    wait_until("the first pages have moved", lambda: since() > 0)
    group.rmdir()
    writer.join()
    print(f"{since() >> 20} MiB were moved before it was removed")
    assert since() <= 192 * MIB
    path.unlink()


def test_a_writer_need_not_wait():
    with Group() as group, undisturbed():
        group.fill(128)
        before = group.local()
        fd = os.open(group.path / "memory.node_limit", os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fd, b"N0=16M")
            assert group.events()["demoted"] * 4096 < before - 16 * MIB
        finally:
            os.close(fd)
        wait_until("the kernel goes on by itself", lambda: group.local() <= 16 * MIB)


@contextlib.contextmanager
def works():
    """Have the kernel trace what its workers run. Yields a function: how often the demoter's has begun."""
    if not (TRACING / "events").exists():
        subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACING], check=True)
    (TRACING / "trace").write_text("")  # opened with O_TRUNC, which empties it
    switch = TRACING / "events/workqueue/workqueue_execute_start/enable"
    with knobs({switch: "1"}):
        yield lambda: sum("demote_work" in line for line in (TRACING / "trace").read_text().splitlines())


def test_what_cannot_be_moved_is_not_tried_for_ever():
    with Group() as group, undisturbed():
        process = group.start(*LOCKED, "48", stdin=subprocess.PIPE)
        assert process.stdout.readline() == "0\n"
        group.limit("N0=16M")
        assert group.local() > 32 * MIB
        with works() as count:
            time.sleep(15)
            tried = count()
        print(f"tried {tried} times in 15 s")
        # 0.1 s, then twice as long each time: eight times in 25 s.
        assert 1 <= tried <= 10
        process.stdin.close()
        process.wait(60)


def test_a_cpu_that_goes_takes_nothing_along():
    command = ["taskset", "-c", "1", *LOADS, "anon", "32", "1", "0"]
    with Group("warm") as warm:  # so that no page cache of the programs is the other one's
        assert warm.start(*command).wait(120) == 0
        with Group() as group:
            assert group.start(*command).wait(120) == 0
            with knobs({CPU1: "0"}):
                wait_until("nothing is left", lambda: group.total() == 0)
                group.limit("N0=0")
                with works() as count:
                    time.sleep(3)
                    assert count() == 0


@contextlib.contextmanager
def family(count):
    """A cgroup with so many children, which are named; yields it and their names."""
    with Group() as group:
        names = [f"c{n}" for n in range(count)]
        group.divide(*names)
        yield group, names
