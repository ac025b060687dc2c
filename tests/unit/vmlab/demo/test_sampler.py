# SPDX-License-Identifier: Apache-2.0
"""The sampler parses the kernel's files correctly."""

import io
from pathlib import Path

import pytest

from vmlab.demo import sampler

LRU = b"""memcg     1 /
 node     0
          0       9999        100         7 
memcg    55 /machine.slice/libpod-ab.scope
 node     0
          0       1000          1         2 
memcg    56 /machine.slice/libpod-ab.scope/container
 node     0
          4       9999         10x        20 
          5       9999         30         0x
 node     1
          4       9999        500          6 
memcg    57 /machine.slice/libpod-ab.scope/container/worker
 node     1
          4       9999          4          0 
memcg    58 /machine.slice/libpod-ab.scope/container2
 node     0
          4       9999       4444       4444 
"""  # noqa: W291


def test_lru_gen_counts_the_cgroup_and_what_is_below_it_alone() -> None:
    found = sampler.parse_lru_gen(LRU, "/machine.slice/libpod-ab.scope/container")
    assert found == {0: (40, 20), 1: (504, 6)}


def test_lru_gen_of_the_last_cgroup_and_of_none() -> None:
    assert sampler.parse_lru_gen(LRU, "/machine.slice/libpod-ab.scope/container2") == {0: (4444, 4444)}
    assert sampler.parse_lru_gen(LRU, "/gone") == {}


def test_numa_stat_keeps_the_lru_lists() -> None:
    text = "anon N0=1 N1=2\ninactive_anon N0=4096 N1=8192\nunevictable N0=0 N1=12\nslab N0=7\n"
    assert sampler.parse_numa_stat(text) == {
        "inactive_anon": {0: 4096, 1: 8192},
        "unevictable": {0: 0, 1: 12},
    }


@pytest.mark.parametrize(("text", "nodes"), [("", set()), ("0\n", {0}), ("0-1,3\n", {0, 1, 3})])
def test_node_lists(text: str, nodes: set[int]) -> None:
    assert sampler.parse_nodes(text) == nodes


def test_a_cgroup_that_is_not_there_leaves_a_header() -> None:
    out = io.StringIO()
    sampler.record("/sys/fs/cgroup/surely/not/there", out, 0.05)
    assert out.getvalue() == sampler.HEADER + "\n"


def test_a_cgroup_that_is_there_twice_counts_once() -> None:
    scope = "/machine.slice/libpod-ab.scope"
    again = LRU[LRU.index(b"memcg    56") :]
    assert sampler.parse_lru_gen(LRU + again, scope) == sampler.parse_lru_gen(LRU, scope)


def test_a_removed_cgroup_is_not_the_one_that_has_its_name_now() -> None:
    """Removed cgroups below the living one, however, are still charged to it."""
    names = ("0 /a", "0 /a/b", "61 /a", "12 /ab", "74 /a", "0 /a/b", "0 /a/b", "75 /c")
    text = b"".join(
        f"memcg {name}\n node 0\n 1 9 0 {10**n}\n node 1\n 1 9 {10**n} 0\n".encode()
        for n, name in enumerate(names)
    )
    living = {0: (0, 1_110_000), 1: (1_110_000, 0)}
    assert sampler.parse_lru_gen(text, "/a") == living
    assert sampler.parse_lru_gen(text, "/a", 4711) == living
    assert sampler.parse_lru_gen(text, "/a", 61) == {0: (0, 100), 1: (100, 0)}, "numbered by inodes"
    assert sampler.parse_lru_gen(text.partition(b"memcg 61")[0], "/a") == {}


def test_pages_that_are_listed_twice_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On plain files in place of a cgroup's: of 60 charged pages 50 get younger during the first read."""
    cgroup = tmp_path / "a"
    cgroup.mkdir()
    (tmp_path / "lru_gen").touch()
    (cgroup / "memory.current").write_text(f"{60 * sampler.PAGE}\n")
    (cgroup / "memory.numa_stat").write_text("unevictable N0=0 N1=0\n")
    reads = [
        f"memcg 7 /a\n node 0\n 2 100 {old} 0\n 3 100 50 0\n node 1\n 2 100 10 0\n".encode()
        for old in (50, 0)
    ]
    monkeypatch.setenv(sampler.NAMED, "0")
    monkeypatch.setattr(sampler, "CGROUPS", str(tmp_path))
    monkeypatch.setattr(sampler, "LRU_GEN", str(tmp_path / "lru_gen"))
    monkeypatch.setattr(sampler.Sampler, "_lru_gen", lambda *_: reads.pop(0))
    one = sampler.Sampler(str(cgroup))
    assert one.sample() == (50 * sampler.PAGE, 10 * sampler.PAGE, 60 * sampler.PAGE, 0, 0)
    one.close()
