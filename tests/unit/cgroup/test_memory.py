# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocihook.cgroup import memory
from ocihook.cgroup.path import Cgroup
from ocihook.errors import HostError

NUMA_STAT = """\
anon N0=9000 N1=9000 N2=9000
file N0=9000 N1=9000 N2=9000
kernel_stack N0=9000 N1=9000 N2=9000
shmem N0=9000 N1=9000 N2=9000
inactive_anon N0=1 N1=10 N2=100
active_anon N0=2 N1=20 N2=200
inactive_file N0=4 N1=40 N2=400
active_file N0=8 N1=80 N2=800
unevictable N0=16 N1=160 N2=1600
slab_reclaimable N0=9000 N1=9000 N2=9000
workingset_refault_anon N0=9000 N1=9000 N2=9000
"""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_local_and_far_are_the_lru_of_their_nodes() -> None:
    assert memory.local_far(NUMA_STAT, {0}, {1, 2}) == (31, 3410)
    assert memory.local_far(NUMA_STAT, {0, 1}, {2}) == (341, 3100)
    assert memory.local_far(NUMA_STAT, {0}, {1}) == (31, 310)
    assert memory.local_far("", {0}, {1}) == (0, 0)


def test_max_is_no_limit(directory: int, tmp_path: Path) -> None:
    (tmp_path / "memory.high").write_text("max\n")
    (tmp_path / "memory.max").write_text("4096\n")
    (tmp_path / "memory.current").write_text("8192\n")
    assert memory.high(directory) is None
    assert memory.maximum(directory) == 4096
    assert memory.usage(directory) == 8192


@pytest.mark.parametrize(
    ("leaf", "own", "above", "expected"),
    [
        ("container", "max", "4096", 4096),
        ("container", "1024", "4096", 1024),
        ("container", "max", "max", None),
        ("libpod-1.scope", "max", "4096", None),
    ],
)
def test_the_limit_may_be_on_the_scope_above_the_leaf(
    tmp_path: Path, leaf: str, own: str, above: str, expected: int | None
) -> None:
    (tmp_path / leaf).mkdir()
    (tmp_path / leaf / "memory.max").write_text(own + "\n")
    (tmp_path / "memory.max").write_text(above + "\n")
    with Cgroup(str(tmp_path), "/" + leaf, os.open(tmp_path / leaf, os.O_RDONLY)) as cgroup:
        assert memory.container_limit(cgroup) == expected


def test_what_a_patched_kernel_says_of_nodes(directory: int, tmp_path: Path) -> None:
    (tmp_path / "memory.node_limit").write_text("N0=134217728 N2=max\n")
    (tmp_path / "memory.node_current").write_text("N0=4096 N2=0\n")
    (tmp_path / "memory.node_events").write_text("steered 12\ndemoted 3\npromotion_denied 0\nover 1\n")
    assert memory.node_limits(directory) == {0: 134217728, 2: None}
    assert memory.node_usage(directory) == {0: 4096, 2: 0}
    events = {"steered": 12, "demoted": 3, "promotion_denied": 0, "over": 1}
    assert memory.node_events(directory) == events


@pytest.mark.parametrize(
    "line", ["active_anon N0", "active_anon N0=x", "active_anon Nx=1", "active_file N0=-1"]
)
def test_a_numa_stat_that_is_not_the_kernels(line: str) -> None:
    with pytest.raises(HostError, match=r"memory\.numa_stat of this kernel cannot be read"):
        memory.local_far(NUMA_STAT + line, {0}, {1})


@pytest.mark.parametrize("text", ["", "-1\n", "x\n", "18446744073709551616\n"])
def test_a_size_that_is_not_the_kernels(directory: int, tmp_path: Path, text: str) -> None:
    for name in ("memory.current", "memory.high"):
        (tmp_path / name).write_text(text)
    (tmp_path / "memory.node_events").write_text(f"demoted {text or 'x'}")
    for read in (memory.usage, memory.high, memory.node_events):
        with pytest.raises(HostError, match="of this kernel cannot be read"):
            read(directory)
