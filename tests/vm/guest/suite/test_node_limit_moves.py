# SPDX-License-Identifier: Apache-2.0
"""Pages that are moved, on the patched kernel: demoted, promoted, migrated, collapsed and swapped in."""

import contextlib
import ctypes
import subprocess
import time
from pathlib import Path

import bounds
import pytest
from helpers import BALANCING, STEADY
from limited import (
    LOADS,
    MIB,
    SCANNING,
    Group,
    answer,
    ask,
    drained,
    knobs,
    slack,
    undisturbed,
    unused,
    vmstat,
    wait_until,
    write,
)
from on import PATCHED, on

PROCESSES = 8
DEMOTION = Path("/sys/kernel/mm/numa/demotion_enabled")
KHUGEPAGED = Path("/sys/kernel/mm/transparent_hugepage/khugepaged")
#: settings with which NUMA balancing promotes, and scans fast enough for a test
PROMOTING = {
    BALANCING: "2",
    DEMOTION: "1",
    SCANNING / "scan_period_min_ms": "100",
    SCANNING / "scan_period_max_ms": "200",
    SCANNING / "scan_size_mb": "256",
}

pytestmark = [on(PATCHED), pytest.mark.usefixtures("swap")]


def test_lowering_moves_the_excess_and_raising_lets_in():
    bounds.forget_page_cache()  # else the local node has no room for all of it
    with Group(limit="N0=512M") as group, undisturbed():
        group.fill(506)
        before, total = group.local(), group.total()
        assert before >= 400 * MIB
        start = time.monotonic()
        group.limit("N0=256M")
        seconds = time.monotonic() - start
        print(f"{(before - 256 * MIB) >> 20} MiB moved in {seconds:.2f} s")
        assert group.local() <= 256 * MIB
        assert group.total() >= total - MIB
        assert group.events()["demoted"] * 4096 >= before - 256 * MIB - MIB
        group.limit("N0=max")
        steered = group.events()["steered"]
        group.start(*LOADS, "anon", "100", "1", "60")
        wait_until("the second load is filled", lambda: drained(group.total) >= total + 100 * MIB)
        assert group.local() >= (256 + 90) * MIB  # all new memory, except what the wait may have missed
        assert group.events()["steered"] == steered


def test_the_coldest_pages_are_the_ones_that_move():
    with knobs({BALANCING: "0"}), Group(limit="N0=256M") as group:
        (process,) = group.lead(128)
        ask([process], "hot 96 128")
        time.sleep(2)
        for megabytes in (120, 104, 88, 72, 64):
            group.limit(f"N0={megabytes}M")
            time.sleep(0.5)
        nodes = where(process.pid, 128 << 20)
        hot = nodes[96 * 256 :].count(0)
        cold = nodes[: 96 * 256].count(0)
        print(f"local: {hot / 256:.0f} of 32 MiB hot, {cold / 256:.0f} of 96 MiB cold")
        assert hot >= 0.9 * 32 * 256


def where(pid, size):
    """The node of every page of the largest anonymous mapping, from move_pages(2) without a target."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        if high - low >= size:
            break
    count = size // 4096
    pages = (ctypes.c_void_p * count)(*range(high - size, high, 4096))
    status = (ctypes.c_int * count)()
    libnuma = ctypes.CDLL("libnuma.so.1", use_errno=True)
    assert libnuma.move_pages(pid, ctypes.c_ulong(count), pages, None, status, 0) == 0
    return list(status)


def test_reclaim_demotes_past_the_limit_of_a_far_node_rather_than_swap():
    """The kernel swaps what it cannot demote. That a limit is in its way is no reason to."""
    bounds.forget_page_cache()
    killed = vmstat("oom_kill")
    with knobs({DEMOTION: "1"}), Group(limit="N1=8M") as group, Group("hog") as hog:
        group.fill(400)
        bounds.forget_page_cache()
        write(hog.path / "memory.min", "max")  # or reclaim might demote that as well
        size = unused(0) + 200
        with group.sampled() as samples:
            process = hog.start("numactl", "--membind=0", *LOADS, "anon", str(size), "1", "3")
            assert process.wait(300) == 0, process.stdout.read()
        far = max(total - local for local, total in samples.rows)
        events = group.events()
        print(f"up to {far / MIB:.1f} MiB on the node with a limit of 8 MiB; {events}")
        # Without a limit, too, the kernel swaps up to 4 MiB here, of pages that it failed to migrate.
        assert int(group.read("memory.swap.peak")) <= 16 * MIB
        assert vmstat("oom_kill") == killed
        assert far > 8 * MIB
        assert events["over"] * 4096 >= far - 8 * MIB - slack(8)
        wait_until("what was over has gone back", lambda: group.current()[1] <= 8 * MIB)
        assert group.total() >= (400 - 16) * MIB


def test_promotion_fills_the_limit_and_stops_there(tmp_path):
    with knobs(PROMOTING), Group(limit="N0=64M") as group, undisturbed():
        led = []
        for n in range(PROCESSES):
            directory = tmp_path / str(n)
            directory.mkdir()
            share = str(128 // PROCESSES)
            process = group.start(STEADY, directory, share)
            led.append((directory, process))
        for directory, _ in led:
            wait_until("the load is filled", (directory / "full").exists)
        with group.sampled() as samples:
            wait_until("promotion is denied", lambda: group.events()["promotion_denied"] > 0)
            group.limit("N0=96M")
            wait_until("promoted up to the limit", lambda: group.local() >= 0.97 * 96 * MIB)
            time.sleep(2)
        print(f"highest {samples.highest / MIB:.2f} of 96 MiB")
        assert samples.highest <= 96 * MIB + slack(96)
        for directory, _ in led:
            (directory / "stop").touch()
        assert [process.wait(120) for _, process in led] == [7] * PROCESSES


def test_memory_that_is_freed_is_filled_by_promotion(tmp_path):
    with knobs(PROMOTING), Group(limit="N0=64M") as group, undisturbed():
        first = group.fill(60)
        process = group.start(STEADY, tmp_path, "64")
        wait_until("the load is filled", (tmp_path / "full").exists)
        with group.sampled() as samples:
            first.kill()
            first.wait()
            wait_until("what is used came back", lambda: group.local() >= 60 * MIB)
        assert samples.highest <= 64 * MIB + slack(64)
        (tmp_path / "stop").touch()
        assert process.wait(120) == 7


def test_move_pages_keeps_to_the_limit():
    with Group(limit="N0=50M") as group, undisturbed():
        led = group.lead(200, PROCESSES)
        before = group.total()
        with group.sampled() as samples:
            movers = [subprocess.Popen(["migratepages", str(one.pid), "1", "0"]) for one in led]
            for mover in movers:
                mover.wait(120)
        print(f"highest {samples.highest / MIB:.2f} of 50 MiB")
        assert samples.highest <= 50 * MIB + slack(50)
        assert group.events()["promotion_denied"] > 0
        assert group.total() >= before - MIB


def test_khugepaged_keeps_to_the_limit():
    values = {KHUGEPAGED / "scan_sleep_millisecs": "10", KHUGEPAGED / "pages_to_scan": "40960"}
    with knobs(values), Group(limit="N0=50M") as group, undisturbed():
        before = vmstat("thp_collapse_alloc")["thp_collapse_alloc"]
        led = group.lead(128, PROCESSES)
        with group.sampled() as samples:
            ask(led, "huge")
            for process in led:
                answer(process)
            wait_until(
                "khugepaged made huge pages on the far node",
                lambda: vmstat("thp_collapse_alloc")["thp_collapse_alloc"] >= before + 10,
            )
        print(f"highest {samples.highest / MIB:.2f} of 50 MiB")
        assert samples.highest <= 50 * MIB + slack(50, huge=True)


def test_swapping_in_keeps_to_the_limit():
    with knobs({DEMOTION: "0"}), Group(limit="N0=50M") as group:
        led = group.lead(128, PROCESSES)
        with contextlib.suppress(OSError):
            write(group.path / "memory.reclaim", "100M swappiness=200")
        assert int(group.read("memory.swap.current")) >= 60 * MIB
        with group.sampled() as samples:
            ask(led, "check")
            for process in led:
                answer(process)
        print(f"highest {samples.highest / MIB:.2f} of 50 MiB")
        assert samples.total >= 128 * MIB
        assert samples.highest <= 50 * MIB + slack(50)
