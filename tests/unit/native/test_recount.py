# SPDX-License-Identifier: Apache-2.0
"""Counting again if memory.numa_stat is out of date, on plain files in place of a cgroup's (a mock)."""

import subprocess
from pathlib import Path

import pytest

PAGE = 4096
LRU_GEN = "memcg 7 /a\n node 0\n 3 1 10 20\n 4 1 1 2\n node 1\n 0 1 0 5\nmemcg 8 /a/b\n node 0\n 1 1 7 0\n"
COUNTED = (40 * PAGE, 7 * PAGE)  #: two pages of node 1 are unevictable, so in no generation
BEHIND = (33 * PAGE, 2 * PAGE)

Look = tuple[int, int, int]
Seen = tuple[int, int]


@pytest.fixture
def lru_gen(tmp_path: Path) -> Path:
    file = tmp_path / "lru_gen"
    file.write_text(LRU_GEN)
    return file


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    where = tmp_path / "cgroup"
    where.mkdir()
    (where / "cgroup.stat").write_text("nr_descendants 2\nnr_dying_descendants 0\n")
    return where


def look(harness: Path, cgroup: Path, lru_gen: Path, seen: Seen, current: int, *at_us: int) -> list[Look]:
    """For each time *at_us*: the usage of both nodes, and how often lru_gen was read so far."""
    (cgroup / "memory.numa_stat").write_text(
        f"active_anon N0={seen[0]} N1={seen[1] - 2 * PAGE}\nunevictable N0=0 N1={2 * PAGE}\n"
    )
    command = [harness, "recount", cgroup, lru_gen, str(current), *map(str, at_us)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [(int(a), int(b), int(c)) for a, b, c in map(str.split, out.splitlines())]


def test_what_cgroups_below_have_charged(harness: Path, cgroup: Path, lru_gen: Path) -> None:
    assert look(harness, cgroup, lru_gen, BEHIND, sum(COUNTED), 1, 2) == [(*COUNTED, 1), (*COUNTED, 2)]


def test_what_they_have_freed(harness: Path, cgroup: Path, lru_gen: Path) -> None:
    assert look(harness, cgroup, lru_gen, (90 * PAGE, 9 * PAGE), sum(COUNTED), 1) == [(*COUNTED, 1)]


def test_without_cgroups_below_nothing_is_behind(harness: Path, cgroup: Path, lru_gen: Path) -> None:
    (cgroup / "cgroup.stat").write_text("nr_descendants 0\nnr_dying_descendants 2\n")
    assert look(harness, cgroup, lru_gen, BEHIND, sum(COUNTED), 1) == [(*BEHIND, 0)]
    (cgroup / "cgroup.stat").unlink()
    assert look(harness, cgroup, lru_gen, BEHIND, sum(COUNTED), 1) == [(*BEHIND, 0)]


def test_what_has_moved_between_nodes_is_seen_in_time(harness: Path, cgroup: Path, lru_gen: Path) -> None:
    moved = (COUNTED[0] - 5 * PAGE, COUNTED[1] + 5 * PAGE)
    looks = look(harness, cgroup, lru_gen, moved, sum(COUNTED), 1, 19_000, 21_000)
    assert looks == [(*COUNTED, 1), (*moved, 1), (*COUNTED, 2)]


def test_the_longer_all_is_right_the_rarer_it_looks(harness: Path, cgroup: Path, lru_gen: Path) -> None:
    looks = look(harness, cgroup, lru_gen, COUNTED, sum(COUNTED), *range(1, 10_000_000, 10_000))
    assert {one[:2] for one in looks} == {COUNTED}
    assert looks[100][2] < 10
    assert looks[-1][2] - looks[-200][2] == 2


def test_what_is_on_no_list_is_looked_for_once(harness: Path, cgroup: Path, lru_gen: Path) -> None:
    current = sum(COUNTED) + 90 * PAGE
    looks = look(harness, cgroup, lru_gen, COUNTED, current, *range(1, 10_000, 1_000))
    assert set(looks) == {(*COUNTED, 1)}


def test_lists_that_explain_less_are_not_believed(harness: Path, cgroup: Path, lru_gen: Path) -> None:
    lru_gen.write_text("memcg 7 /a\n node 0\n 3 1 0 0\n node 1\n 3 1 0 0\n")
    assert look(harness, cgroup, lru_gen, BEHIND, sum(COUNTED), 1, 2) == [(*BEHIND, 1), (*BEHIND, 1)]
    lru_gen.write_text("memcg 9 /other\n node 0\n 3 1 0 0\n")
    assert look(harness, cgroup, lru_gen, BEHIND, sum(COUNTED), 1) == [(*BEHIND, 0)]


def test_what_a_removed_cgroup_of_the_same_name_has_left_is_not_counted(
    harness: Path, cgroup: Path, lru_gen: Path
) -> None:
    lru_gen.write_text("memcg 0 /a\n node 0\n 1 1 0 900\n node 1\n 1 1 0 5\n" + LRU_GEN)
    assert look(harness, cgroup, lru_gen, BEHIND, sum(COUNTED), 1) == [(*COUNTED, 1)]


def test_what_a_cgroup_below_has_left_is_counted(harness: Path, cgroup: Path, lru_gen: Path) -> None:
    lru_gen.write_text(LRU_GEN.replace("memcg 8", "memcg 0"))
    assert look(harness, cgroup, lru_gen, BEHIND, sum(COUNTED), 1) == [(*COUNTED, 1)]
