# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from ocihook.backends import choose
from ocihook.config import Config
from ocihook.topology import nodes


def test_a_cgroup_with_the_file_needs_no_fence(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    assert choose.for_cgroup(fd, Config()).NAME == "tier"
    (tmp_path / "memory.node_limit").touch()
    assert choose.for_cgroup(fd, Config()).NAME == "node_limit"
    os.close(fd)


def test_a_host_is_asked_by_the_children_of_the_root(tmp_path: Path) -> None:
    assert not choose.has_limits(str(tmp_path / "nowhere"))
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "init.scope").mkdir()
    elsewhere = tmp_path / "init.scope/below"
    elsewhere.mkdir()
    (elsewhere / "memory.node_limit").touch()
    (tmp_path / "link").symlink_to(elsewhere)
    # Neither deeper cgroups nor symbolic links are looked at.
    assert choose.for_host(str(tmp_path), Config()).NAME == "tier"
    (tmp_path / "system.slice").mkdir()
    (tmp_path / "system.slice/memory.node_limit").touch()
    assert choose.for_host(str(tmp_path), Config()).NAME == "node_limit"


@pytest.mark.parametrize(
    ("tiers", "far", "backend"),
    [
        ([(0, 1)], (1,), "migrate"),
        ([], (1,), "migrate"),
        ([(0,), (1,)], (1,), "tier"),
        ([(0, 1)], (), "tier"),
        # A socket beside CXL memory: only the latter is a lower tier.
        ([(0, 1), (2,)], (1, 2), "migrate"),
        ([(0, 1), (2,)], (2,), "tier"),
        # The configuration calls the upper of two tiers far.
        ([(0,), (1, 2)], (0,), "migrate"),
    ],
)
def test_far_nodes_that_are_no_lower_tier_are_moved_to(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiers: list[tuple[int, ...]],
    far: tuple[int, ...],
    backend: str,
) -> None:
    monkeypatch.setattr(nodes, "tier_lists", lambda: tiers)
    monkeypatch.setattr(nodes, "with_memory", lambda: (0, 1, 2))
    assert backend == choose.for_host(str(tmp_path), Config(far_nodes=far)).NAME
