# SPDX-License-Identifier: Apache-2.0
"""The number of CPUs on which a container allocates at once, from its cgroup and those above."""

import os
import time
from pathlib import Path

import pytest

from ocihook import _native
from ocihook.native import Holder

GIB = 1 << 30
NO_QUOTA = 2**32 - 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0\n", 1),
        ("0-3,8", 5),
        ("0-255\n", 256),
        ("1,3,5-6\n", 4),
        ("", 0),
        ("\n", 0),
        ("3-1\n", 0),
        ("0,\n", 0),
        ("0-3 8\n", 0),
        ("0-18446744073709551615\n", 0),
        ("nonsense\n", 0),
    ],
)
def test_a_list_of_processors(text: str, count: int) -> None:
    assert _native.lib.bede_cpus_listed(text.encode()) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("max 100000\n", NO_QUOTA),
        ("200000 100000\n", 40),  # two CPUs on average, but 40 slices, each on another CPU
        ("1000 100000\n", 1),
        ("5001 100000\n", 2),
        ("0 100000\n", 0),
        ("nonsense\n", 0),
        ("", 0),
    ],
)
def test_a_quota(text: str, count: int) -> None:
    assert _native.lib.bede_cpus_by_quota(text.encode()) == count


class Tree:
    """The cgroup /pod/web and those above it, of plain files; above the root is no cgroup."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "top"
        self.web = self.root / "pod/web"
        self.web.mkdir(parents=True)
        for where in (self.root, self.root / "pod", self.web):
            (where / "cgroup.controllers").touch()
        (tmp_path / "cpuset.cpus.effective").write_text("0-9\n")
        (tmp_path / "cpu.max").write_text("5000 100000\n")

    @property
    def cpus(self) -> int:
        fd = os.open(self.web, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return int(_native.lib.bede_cpus(fd))
        finally:
            os.close(fd)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_who_says_nothing_has_the_hosts(tree: Tree) -> None:
    assert tree.cpus == os.sysconf("SC_NPROCESSORS_ONLN")


def test_the_nearest_cpuset_counts(tree: Tree) -> None:
    (tree.root / "cpuset.cpus.effective").write_text("0-255\n")
    assert tree.cpus == 256
    (tree.root / "pod/cpuset.cpus.effective").write_text("0-63\n")
    assert tree.cpus == 64
    (tree.web / "cpuset.cpus.effective").write_text("4-5\n")
    assert tree.cpus == 2


def test_every_quota_counts(tree: Tree) -> None:
    (tree.root / "cpuset.cpus.effective").write_text("0-255\n")
    (tree.web / "cpu.max").write_text("max 100000\n")
    assert tree.cpus == 256
    (tree.web / "cpu.max").write_text("400000 100000\n")
    assert tree.cpus == 80
    (tree.root / "pod/cpu.max").write_text("50000 100000\n")
    assert tree.cpus == 10


def test_a_container_is_held_by_its_own_which_may_change(tree: Tree, cgroup: Path) -> None:
    """The more CPUs, the more of the bound is left free for charges that are not used yet on each."""
    for file in cgroup.iterdir():
        (tree.web / file.name).write_text(file.read_text())
    (tree.root / "cpuset.cpus.effective").write_text("0-255\n")
    cpuset = tree.web / "cpuset.cpus.effective"
    cpuset.write_text("0-1\n")
    fd = os.open(tree.web, os.O_RDONLY | os.O_DIRECTORY)
    holder = Holder(
        fd, "/a", local=(0,), far=(1,), bound=GIB, nodes={}, user_high=None, lru_file=None, backend="tier"
    )

    def room() -> int:
        end = time.monotonic() + 30
        while not (stats := holder.stats()).rounds:
            assert time.monotonic() < end
        return stats.fence - stats.current

    try:
        few = room()
        assert few > GIB - (4 << 20)
        cpuset.write_text("0-7\n")
        end = time.monotonic() + 30
        while room() >= few:
            assert time.monotonic() < end, "it does not look again"
            time.sleep(0.05)
        assert few - room() == pytest.approx(6 * 3 * 64 * 4096, abs=4096)
    finally:
        holder.stop(restore=False)
        os.close(fd)
