# SPDX-License-Identifier: Apache-2.0
"""Which memory of a container may be moved, and in which order, from texts as the kernel writes them."""

import os
import subprocess
from pathlib import Path

import pytest

#: A program and its data, a heap, memory without a policy, a mapped file, program-bound memory, huge pages of
#: hugetlbfs, and a stack without pages in memory.
MAPS = """\
00400000-00420000 r--p 00000000 fe:00 11 /usr/bin/python3.13
00420000-0061c000 r-xp 00020000 fe:00 11 /usr/bin/python3.13
0093a000-009f3000 rw-p 00539000 fe:00 11 /usr/bin/python3.13
01c00000-01c21000 rw-p 00000000 00:00 0 [heap]
7f0000000000-7f0000200000 rw-p 00000000 00:00 0 [anon:x]
7f0000200000-7f0000300000 r--s 00000000 fe:00 12 /data/load.bin
7f0000400000-7f0000800000 rw-p 00000000 00:00 0 [anon:x]
7f0000800000-7f0000c00000 rw-p 00000000 00:0f 99 /anon_hugepage (deleted)
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]
"""
NUMA = """\
00400000 interleave=relative:1 file=/usr/bin/python3.13 mapped=32 N1=32 kernelpagesize_kB=4
00420000 interleave=relative:1 file=/usr/bin/python3.13 mapped=508 N1=508 kernelpagesize_kB=4
0093a000 interleave=relative:1 file=/usr/bin/python3.13 anon=10 dirty=10 N0=4 N1=6 kernelpagesize_kB=4
01c00000 interleave=relative:1 heap anon=33 dirty=33 N0=33 kernelpagesize_kB=4
7f0000000000 default anon=512 dirty=512 N0=512 kernelpagesize_kB=4
7f0000200000 interleave=relative:1 file=/data/load.bin mapped=256 N0=256 kernelpagesize_kB=4
7f0000400000 bind:0 anon=1024 dirty=1024 N0=1000 N1=24 kernelpagesize_kB=4
7f0000800000 default file=/anon_hugepage\\040(deleted) huge dirty=2 N0=2 kernelpagesize_kB=2048
7ffc00000000 interleave=relative:1 stack
"""
PAGE = 4096


def run(harness: Path, *words: str | Path) -> list[tuple[str, ...]]:
    done = subprocess.run([harness, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [tuple(line.split()) for line in done.stdout.splitlines()]


def parse(harness: Path, tmp_path: Path, maps: str, numa: str) -> list[tuple[str, ...]]:
    (tmp_path / "maps").write_text(maps)
    (tmp_path / "numa_maps").write_text(numa)
    return run(harness, "vmas", tmp_path / "maps", tmp_path / "numa_maps", "1")


def test_what_may_be_moved(harness: Path, tmp_path: Path) -> None:
    *ranges, (mapped, own) = parse(harness, tmp_path, MAPS, NUMA)
    # Without the program itself, program-bound memory, huge pages, and memory that is not there.
    assert [start for _, _, start, *_ in ranges] == ["93a000", "1c00000", "7f0000000000", "7f0000200000"]
    assert {pid for pid, *_ in ranges} == {"7"}
    assert int(own) == 1000 * PAGE
    assert int(mapped) == (10 + 33 + 512 + 256) * PAGE


def test_a_process_that_changes_between_the_two_texts(harness: Path, tmp_path: Path) -> None:
    without = "".join(line for line in NUMA.splitlines(True) if not line.startswith("01c00000"))
    *ranges, _ = parse(harness, tmp_path, MAPS, without)
    assert [start for _, _, start, *_ in ranges] == ["93a000", "7f0000000000", "7f0000200000"]
    gone = "".join(line for line in MAPS.splitlines(True) if not line.startswith("7f00000"))
    *ranges, _ = parse(harness, tmp_path, gone, NUMA)
    assert [start for _, _, start, *_ in ranges] == ["93a000", "1c00000", "7f0000200000"]


def test_shared_memory_has_one_number_in_all_processes(harness: Path, tmp_path: Path) -> None:
    """Whatever its address, and the place of the file that is mapped there; private memory has none."""
    lines = {
        "10000000-10002000 rw-s 00001000 00:01 12 /SYSV00000000": "10000000 default anon=2 N0=2",
        "20000000-20002000 rw-s 00000000 00:01 12 /SYSV00000000": "20000000 default anon=2 N0=2 mapmax=2",
        "30000000-30002000 r--p 00001000 00:02 12 /data": "30000000 default mapped=2 N0=2",
        "40000000-40002000 rw-p 00001000 00:02 12 /data": "40000000 default anon=2 N0=2",
        "50000000-50002000 r--s 00000000 00:02 13 /data2": "50000000 default mapped=2 N0=2 writeback=1",
    }
    *ranges, _ = parse(harness, tmp_path, "\n".join(lines), "\n".join(lines.values()))
    same, again, file, own, other = ([*one, None, None][4:6] for one in ranges)
    assert (same[1], again[1], file[1]) == ("ffff000", "20000000", "2ffff000")
    assert same[0] == again[0]
    assert own[0] is None
    assert len({same[0], file[0], other[0]}) == 3


@pytest.mark.parametrize("text", ["", "\n", "zzz", "1000-", "1000-2000 rw", "2000-1000 rw-p 0 0:0 0 \n"])
def test_what_cannot_be_read_is_left_out(harness: Path, tmp_path: Path, text: str) -> None:
    assert parse(harness, tmp_path, text, NUMA) == [("0", "0")]
    assert parse(harness, tmp_path, MAPS, text) == [("0", "0")]


def test_the_processes_of_cgroups_below_count(harness: Path, tmp_path: Path) -> None:
    (tmp_path / "below/deeper").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "below")
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (tmp_path / "below/cgroup.procs").write_text("")
    (tmp_path / "below/deeper/cgroup.procs").write_text("4194304\n")  # no process has this pid
    found = run(harness, "tree", tmp_path)
    assert [pid for pid, _ in found] == [str(os.getpid()), "4194304"]
    assert found[1][1] == "0"


def test_the_coldest_come_first(harness: Path, tmp_path: Path) -> None:
    (tmp_path / "ranges").write_text("7 1 1000 9000\n8 1 1000 2000\n7 1 a000 b000\n")
    (tmp_path / "heat").write_text("7 5 3000 5000\n7 0 5000 20000\n8 9 0 1000\n8 3 1800 9000\n")
    assert run(harness, "order", tmp_path / "ranges", tmp_path / "heat") == [
        ("7", "0", "5000", "9000"),
        ("7", "0", "a000", "b000"),
        ("7", "1", "1000", "3000"),
        ("8", "1", "1000", "1800"),
        ("8", "3", "1800", "2000"),
        ("7", "5", "3000", "5000"),
    ]


def test_without_heat_they_come_by_address(harness: Path, tmp_path: Path) -> None:
    (tmp_path / "ranges").write_text("8 1 1000 2000\n7 1 3000 4000\n7 1 1000 2000\n")
    (tmp_path / "heat").write_text("")
    found = run(harness, "order", tmp_path / "ranges", tmp_path / "heat")
    assert found == [("7", "1", "1000", "2000"), ("7", "1", "3000", "4000"), ("8", "1", "1000", "2000")]
