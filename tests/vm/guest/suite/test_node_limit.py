# SPDX-License-Identifier: Apache-2.0
"""The patched kernel's memory.node_limit: its files, and where pages are placed, by the kernel's figures.

Swap is on. The tests of moving pages are in test_node_limit_moves.py.
"""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import bounds
import pytest
from limited import (
    CPUS,
    LOADS,
    MIB,
    SLOW,
    WORKLOADS,
    Group,
    ended,
    keyed,
    pairs,
    slack,
    undisturbed,
    unused,
    vmstat,
    wait_until,
    write,
)
from on import PATCHED, on

LIMIT = 100
LOAD_FILE = {"BEDE_LOAD_FILE": str(bounds.WORK / "load.bin")}

pytestmark = [on(PATCHED, two=True), pytest.mark.usefixtures("swap", "load_file")]


@pytest.mark.parametrize(
    ("load", "limit"),
    (
        ("anon 400 1", LIMIT),
        ("anon 400 8", LIMIT),
        # a huge page is 1 % of this limit
        ("anon 600 1 1 thp", 200),
        ("anon 600 8 1 thp", 200),
        ("workers 400 1", LIMIT),
        ("shmem 400 8", LIMIT),
        ("read 400 8", LIMIT),
        ("mmap 400 8", LIMIT),
        ("write 400 8", LIMIT),
    ),
)
def test_no_load_passes_the_limit(load, limit):
    huge = load.endswith("thp")
    bounds.forget_page_cache()  # else the node would be full before the limit is reached
    with Group(limit=f"N0={limit}M") as group, undisturbed():
        with group.sampled() as samples:
            status, out = ended(group.start(*LOADS, *load.split(), env=LOAD_FILE))
            events = group.events()
        assert status == 0, out
        mean = samples.mean(limit * MIB) or 0
        over = max(samples.highest - limit * MIB, 0) / MIB
        print(f"{load}: over {over:.2f} MiB, mean {mean / limit / MIB:.4f}, {len(samples.rows)} samples")
        assert samples.highest <= limit * MIB + slack(limit, huge)
        assert events["over"] * 4096 <= slack(limit, huge)
        assert events["steered"] * 4096 >= (samples.total - limit * MIB) * 0.9
        assert mean >= 0.98 * limit * MIB
        assert samples.total >= int(load.split()[1]) * 0.95 * MIB
        if load.startswith("read"):
            # no page cache was dropped, and both counts agree
            file = {line.split()[0]: line for line in group.read("memory.numa_stat").splitlines()}["file"]
            assert sum(pairs(file.partition(" ")[2]).values()) >= 400 * MIB * 0.99
            wait_until("both counts agree", lambda: agree(group))


def agree(group):
    """Whether the exact counters and the statistics agree, except for what the CPUs keep in batches."""
    exact, statistics = group.current(), group.numa_stat()
    return all(abs(exact[node] - statistics[node]) <= CPUS * 128 * 4096 for node in exact)


def test_huge_pages_stay_huge_on_the_far_node():
    with Group(limit=f"N0={LIMIT}M") as group:
        group.fill(300, "thp")
        huge = {line.split()[0]: line for line in group.read("memory.numa_stat").splitlines()}["anon_thp"]
        assert pairs(huge.partition(" ")[2])[1] >= 180 * MIB
        assert vmstat("thp_split_page") == {"thp_split_page": 0}


def test_what_is_no_limit_is_refused_and_changes_nothing():
    bad = "N0|N0=|N0=-1|N7=1|N0=1X|0=5|N0=99999999999999999999|N0=9999999999999999K|N0=1 N0=2|N0=1 N7=1|"
    bad += " |N=1|N0=max1|n0=1|N0=0x10|N 0=1|N0=1 2|N0=1KK|N99999999999=1"
    with Group(limit="N0=100M N1=max") as group:
        for text in bad.split("|"):
            with pytest.raises(OSError) as caught:
                group.limit(text + "\n")
            assert caught.value.errno == errno.EINVAL, text
            assert group.read("memory.node_limit") == "N0=104857600 N1=max\n"
        group.limit("N1=1g  N0=64k\n")
        assert pairs(group.read("memory.node_limit")) == {0: 65536, 1: 1 << 30}
        group.limit("N1=max")
        assert group.read("memory.node_limit") == "N0=65536 N1=max\n"
    assert not Path("/sys/fs/cgroup/memory.node_limit").exists()


def test_limits_are_delegated_like_those_of_all_memory():
    """A user to whom a subtree is delegated can limit cgroups in it, but not lift the subtree's own limit."""

    def nobody(script):
        return subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", script], cwd=group.path, check=False
        ).returncode

    with Group("delegated", limit="N0=100M") as group:
        for name in (".", "cgroup.procs", "cgroup.subtree_control"):
            os.chown(group.path / name, 65534, -1)
        assert nobody("echo +memory >cgroup.subtree_control && mkdir below") == 0
        assert nobody("echo N0=1M >below/memory.node_limit") == 0
        assert pairs((group.path / "below/memory.node_limit").read_text())[0] == MIB
        assert nobody("echo N0=max >memory.node_limit 2>/dev/null") != 0
        assert pairs(group.read("memory.node_limit"))[0] == 100 * MIB
        (group.path / "below").rmdir()


@pytest.mark.parametrize("how", ("membind", "membind thp"))
def test_a_binding_to_a_full_node_places_there_and_moves_the_coldest_away(how):
    with Group(limit=f"N0={LIMIT}M") as group, undisturbed():
        command = ["numactl", "--membind=0", *LOADS, "anon", "200", "1", "1", *how.split()[1:]]
        with group.sampled() as samples:
            status, out = ended(group.start(*command))
            events = group.events()
        assert status == 0, out
        assert events["over"] > 0
        assert samples.highest <= LIMIT * MIB + slack(LIMIT, "thp" in how)
        assert events["demoted"] * 4096 >= (200 - LIMIT) * MIB * 0.9


def test_a_cpuset_of_the_full_node_alone_is_kept_to():
    """A cpuset of full nodes only: memory goes over the limit there, and nothing worse happens."""
    write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset")
    with Group(limit=f"N0={LIMIT}M") as group, undisturbed():
        write(group.path / "cpuset.mems", "0")
        with group.sampled() as samples:
            status, out = ended(group.start(*LOADS, "anon", "200", "1", "1"))
            events = group.events()
        assert status == 0, out
        assert samples.highest == samples.total >= 200 * MIB
        assert events["over"] * 4096 >= (200 - LIMIT) * MIB - slack(LIMIT)
        assert events["demoted"] == events["steered"] == 0


def test_a_cpuset_below_the_limit_is_kept_to_by_moving_others():
    """Memory of another cgroup below the same limit is moved away, by the kernel if not by the task."""
    write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset")
    with Group(limit=f"N0={LIMIT}M") as group, undisturbed():
        write(group.path / "cgroup.subtree_control", "+cpuset +memory")
        for name in ("free", "bound"):
            (group.path / name).mkdir()
        write(group.path / "bound/cpuset.mems", "0")
        group.start(*LOADS, "anon", str(LIMIT - 20), "1", "60", below="free")
        wait_until("the other is filled", lambda: group.local() >= (LIMIT - 20) * MIB)
        with group.sampled() as samples:
            status, out = ended(group.start(*LOADS, "anon", "60", "1", "1", below="bound"))
        assert status == 0, out
        assert samples.highest <= LIMIT * MIB + slack(LIMIT)


@pytest.mark.rarely
def test_over_the_limit_rather_than_swap_or_fail_when_far_memory_is_full():
    with Group("hog") as hog, Group(limit="N0=64M") as group:
        process = fill_far(hog, 100)
        killed = vmstat("oom_kill")
        with group.sampled() as samples:
            status, out = ended(group.start(*LOADS, "anon", "192"))
            events = group.events()
        # On a full node kswapd may swap memory of other cgroups, which is not caused by the limit.
        assert group.read("memory.swap.peak") == "0\n"
        assert vmstat("oom_kill") == killed
        assert process.poll() is None
        assert status == 0, out
        assert samples.total >= 192 * MIB
        assert samples.highest > 64 * MIB + slack(64)
        assert events["over"] * 4096 >= samples.highest - 64 * MIB - slack(64)
        assert keyed(group.path / "memory.events")["max"] == 0


def test_page_cache_on_the_far_node_makes_room_without_swapping():
    with Group("hog") as hog, Group(limit="N0=64M") as group:
        process = fill_far(hog, 300)
        read = ["dd", f"if={bounds.WORK / 'load.bin'}", "of=/dev/null", "bs=1M", "count=260"]

        def filled():
            # Read it again if kswapd has dropped a part: it does so after it was woken for a fragmented node.
            assert ended(hog.start("numactl", "--membind=1", *read))[0] == 0
            stolen = vmstat("pgsteal_kswapd")
            time.sleep(0.2)
            room = unused(1) - far_watermarks()
            return room < FAR_NEED // 2 and vmstat("pgsteal_kswapd") == stolen

        wait_until("page cache leaves half of what the load needs, and kswapd rests", filled)
        with undisturbed(), group.sampled() as samples:
            status, out = ended(group.start(*LOADS, "anon", "204"))
        assert process.poll() is None
        assert status == 0, out
        assert samples.total >= 204 * MIB
        assert samples.highest <= 64 * MIB + slack(64)


def test_dirty_pages_keep_to_the_limit_where_the_disk_is_slow():
    """The kernel spreads dirty pages over the nodes, but not to one that is full for the cgroup."""
    written = bounds.WORK / "dirty.bin"
    device = os.stat(bounds.WORK).st_dev
    write("/sys/fs/cgroup/cgroup.subtree_control", "+io")
    with Group("hog") as hog, Group(limit="N0=64M") as group:
        process = fill_far(hog, 400)  # a fifth of what it leaves may be dirty
        write(group.path / "io.max", f"{os.major(device)}:{os.minor(device)} wbps={8 * MIB}")
        with group.sampled() as samples:
            dirtying = ["dd", "if=/dev/zero", f"of={written}", "bs=1M", "count=200"]
            assert ended(group.start(*dirtying))[0] == 0
        write(group.path / "io.max", f"{os.major(device)}:{os.minor(device)} wbps=max")
        print(f"highest {samples.highest / MIB:.2f} of 64 MiB, {samples.total / MIB:.0f} in all")
        assert process.poll() is None
        assert samples.total >= 150 * MIB
        assert samples.highest <= 64 * MIB + slack(64)
        assert group.events()["over"] * 4096 <= slack(64)
        written.unlink()


#: MiB that the load above has to have on the far node: 204 less its limit on the local one
FAR_NEED = 204 - 64


def far_watermarks():
    """MiB of the far node that kswapd keeps free once it was woken: the high watermarks of its zones."""
    node, pages = "", 0
    for line in Path("/proc/zoneinfo").read_text().splitlines():
        words = line.split()
        if words[0] == "Node":
            node = words[1]
        elif words[0] == "high" and node == "1,":
            pages += int(words[1])
    return pages * 4096 // MIB


def fill_far(hog, left):
    """Fill the far node, except for *left* MiB, with memory of the group *hog*. Returns the process."""
    bounds.forget_page_cache()  # else there would be room that MemFree does not show
    free = unused(1)
    process = hog.start("numactl", "--membind=1", *LOADS, "anon", str(free - left), "1", "300")
    wait_until("the far node is nearly full", lambda: hog.total() >= (free - left - 1) * MIB)
    return process


@pytest.mark.rarely
def test_64_processes_in_16_cgroups_share_one_limit():
    with Group(limit=f"N0={LIMIT}M") as group, undisturbed():
        below = [f"s{n}" for n in range(16)]
        group.divide(*below)
        with group.sampled() as samples:
            hold = "40" if SLOW else "8"  # long enough for all to exist at once
            # A quarter of them is cloned into a cgroup from outside, by clone3 with CLONE_INTO_CGROUP.
            cloner = [sys.executable, "-ISB", str(WORKLOADS / "cloner.py")]
            cloned = [subprocess.Popen([*cloner, group.path / below[n], "6", hold]) for n in range(16)]
            forked = [group.start(*LOADS, "anon", "6", "1", hold, below=below[n % 16]) for n in range(48)]
            assert [ended(process)[0] for process in forked] == [0] * 48
            assert [process.wait(120) for process in cloned] == [0] * 16
        for name in below:
            wait_until("it is empty", lambda name=name: not (group.path / name / "cgroup.procs").read_text())
            (group.path / name).rmdir()
        print(f"highest {samples.highest / MIB:.2f} of {samples.total / MIB:.0f} MiB")
        assert samples.total >= 2 * LIMIT * MIB
        assert samples.highest <= LIMIT * MIB + slack(LIMIT)
        bounds.forget_page_cache()  # drop the page cache of the programs' files
        wait_until(
            "nothing is left but what statistics show too", lambda: group.total() <= MIB and agree(group)
        )


def test_cost_is_nothing_to_others():
    """Without any limit no event is counted, and the counters are still exact."""
    with Group() as group:
        group.fill(64)
        assert group.read("memory.node_limit") == "N0=max N1=max\n"
        wait_until("both counts agree", lambda: agree(group))
        assert set(group.events().values()) == {0}
