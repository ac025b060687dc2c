# SPDX-License-Identifier: Apache-2.0
"""Local and far usage from the kernel's files."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import hosts
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook import host
from ocihook.cgroup.path import Cgroup
from ocihook.topology.nodes import Tiers
from ocihook.watch import usage

PAGE = os.sysconf("SC_PAGE_SIZE")
LRU = b"""memcg     1 /
 node     0
          0      16588        100           1
memcg     7 /kept
 node     0
          9      16588       3246           1
         10      10080         25x          2
 node     1
          2      17588        224           0
memcg    12 /kept/below
 node     1
          1          9          6           4
memcg    13 /kept-other
 node     0
          1          9       1000        1000
"""
#: /kept, three times: the first was removed and has page cache, the second also has swapped pages.
USED_AGAIN = b"""memcg     0 /kept
 node     0
          1          9          0       10751
memcg     0 /kept/below
 node     0
          1          9          0           5
memcg    61 /kept
 node     0
          1          9          0          40
memcg    74 /kept
 node     0
          1          9          2          10
 node     1
          1          9          1           0
memcg     0 /kept/below
 node     1
          1          9          0           3
memcg     0 /kept/below
 node     1
          1          9          0           4
"""
KEPT = {"/kept": 0}
NUMA = "anon N0=1 N1=1\ninactive_anon N0=4096 N1=8192\nactive_file N0=0 N1=4096\nunevictable N0=12288 N1=0\n"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cgroup]:
    """The open cgroup /kept of a host that has neither node limits nor lru_gen."""
    hosts.redirect(monkeypatch, tmp_path)
    directory = tmp_path / "kept"
    directory.mkdir()
    (directory / "memory.numa_stat").write_text(NUMA)
    with Cgroup(str(tmp_path), "/kept", os.open(directory, os.O_RDONLY)) as cgroup:
        yield cgroup


def look(cgroup: Cgroup) -> dict[str, tuple[int, int]]:
    with usage.Usage(Tiers((0,), (1,))) as found:
        return found.read([cgroup])


def test_generations_count_what_is_below_and_no_neighbour() -> None:
    assert usage.generations(LRU, KEPT) == {"/kept": {0: 3246 + 1 + 25 + 2, 1: 224 + 10}}
    assert usage.generations(LRU, {"/kept/below": 0, "/none": 0}) == {"/kept/below": {1: 10}}


def test_a_cgroup_that_is_there_twice_counts_once() -> None:
    again = LRU[LRU.index(b"memcg     7") :]
    assert usage.generations(LRU + again, KEPT) == usage.generations(LRU, KEPT)


def test_a_cgroup_called_like_a_head_is_none() -> None:
    text = b"memcg     7 /a memcg 9 /kept\n node     0\n 1 1 5 5\n"
    assert usage.generations(text, KEPT) == {}


def test_a_removed_cgroup_is_not_the_one_that_has_its_name_now() -> None:
    """Removed cgroups below the living one, however, are still charged to it."""
    assert usage.generations(USED_AGAIN, KEPT) == {"/kept": {0: 12, 1: 8}}
    assert usage.generations(USED_AGAIN, {"/kept": 4711}) == {"/kept": {0: 12, 1: 8}}
    assert usage.generations(USED_AGAIN, {"/kept": 61}) == {"/kept": {0: 40}}, "numbered by inodes"
    assert usage.generations(USED_AGAIN.partition(b"memcg    61")[0], KEPT) == {}


@given(st.binary())
def test_no_text_is_an_odd_error(text: bytes) -> None:
    with contextlib.suppress(ValueError, IndexError):
        usage.generations(text, {"/kept": 7, "/": 1})


def test_limits_of_the_kernel_are_exact(kept: Cgroup, tmp_path: Path) -> None:
    (tmp_path / "kept/memory.node_current").write_text("N0=4096 N1=8192 N2=4096\n")
    assert look(kept) == {"/kept": (4096, 8192)}


def test_generations_and_what_is_unevictable(kept: Cgroup, tmp_path: Path) -> None:
    hosts.put(tmp_path, host.LRU_GEN_ENABLED, "0x0007\n")
    hosts.put(tmp_path, host.LRU_GEN, LRU.decode())
    assert look(kept) == {"/kept": (3274 * PAGE + 12288, 234 * PAGE)}


def test_statistics_where_there_are_no_generations(kept: Cgroup, tmp_path: Path) -> None:
    whole = {"/kept": (4096 + 12288, 8192 + 4096)}
    assert look(kept) == whole
    hosts.put(tmp_path, host.LRU_GEN, LRU.decode())
    assert look(kept) == whole  # generations are turned off, so the file has no pages
    hosts.put(tmp_path, host.LRU_GEN_ENABLED, "0x0007\n")
    hosts.put(tmp_path, host.LRU_GEN, "memcg nonsense /kept\n node x\n")
    assert look(kept) == whole


def test_one_that_has_gone_is_left_out(kept: Cgroup, tmp_path: Path) -> None:
    (tmp_path / "kept/memory.numa_stat").unlink()
    assert look(kept) == {}
