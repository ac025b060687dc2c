# SPDX-License-Identifier: Apache-2.0
"""The first fence, with plain files in place of a cgroup's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocihook import fs
from ocihook.backends import fence, tier
from ocihook.cgroup.path import Cgroup
from ocihook.config import Config
from ocihook.errors import HostError
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

MIB = 1 << 20
TIERS = Tiers((0,), (1,))


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cgroup]:
    monkeypatch.setattr(nodes, "find", lambda far_nodes: TIERS)
    monkeypatch.setattr(nodes, "tier_lists", lambda: [(0,), (1,)])
    monkeypatch.setattr(nodes, "enable_demotion", lambda: None)
    monkeypatch.setattr(nodes, "room", lambda _: (50 * MIB, 100 * MIB))
    (tmp_path / "memory.current").write_text(f"{10 * MIB}\n")
    (tmp_path / "memory.high").write_text("max\n")
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.numa_stat").write_text(f"active_anon N0={6 * MIB} N1={2 * MIB}\n")
    with Cgroup(str(tmp_path), "/", os.open(tmp_path, os.O_RDONLY)) as made:
        yield made


def high(cgroup: Cgroup) -> str:
    return (Path(cgroup.mount) / "memory.high").read_text()


def test_the_fence_is_the_bound_and_what_is_far(cgroup: Cgroup) -> None:
    fence.engage(cgroup, 64 * MIB, TIERS, None)
    # Of the 10 MiB in use, 6 are local, 2 are far, and 2 are kernel memory, which is on no node's list and
    # may be given back: only what is far raises the fence.
    assert high(cgroup) == str(64 * MIB + 2 * MIB)


def test_the_users_own_limit_stays(cgroup: Cgroup) -> None:
    fence.engage(cgroup, 64 * MIB, TIERS, 32 * MIB)
    assert high(cgroup) == str(32 * MIB)


@pytest.mark.parametrize(("limit", "swap"), [("max", "5"), ("9", "max")])
def test_nobody_may_swap_at_the_fence(cgroup: Cgroup, limit: str, swap: str) -> None:
    for name, text in (("memory.max", limit), ("memory.swap.current", "5"), ("memory.swap.max", "max")):
        (Path(cgroup.mount) / name).write_text(text)
    fence.engage(cgroup, 64 * MIB, TIERS, None)
    # Compare the beginning only: a plain file keeps the rest of a longer text.
    assert (Path(cgroup.mount) / "memory.swap.max").read_text()[:1] == swap[:1]
    assert high(cgroup) == str(66 * MIB)


def test_a_bound_that_is_passed_already_stops_growth_only(cgroup: Cgroup) -> None:
    fence.engage(cgroup, 4 * MIB, TIERS, None)
    assert high(cgroup) == str(10 * MIB)


def test_one_write_where_there_is_no_swap(cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []
    monkeypatch.setattr(fs, "recorder", lambda op, path, _: writes.append(path) if op == "write" else None)
    fence.engage(cgroup, 64 * MIB, TIERS, None)
    fence.release(cgroup.fd, None)
    assert writes == ["memory.high", "memory.high"]


@pytest.mark.parametrize("limit", [None, 5 * MIB])
def test_release_gives_the_users_own_limit_back(cgroup: Cgroup, limit: int | None) -> None:
    fence.release(cgroup.fd, limit)
    assert high(cgroup)[:3] == ("max" if limit is None else str(limit)[:3])


def test_a_cpuset_without_far_nodes_is_refused(cgroup: Cgroup) -> None:
    file = Path(cgroup.mount) / "cpuset.mems.effective"
    file.write_text("0\n")
    with pytest.raises(HostError, match="no far node"):
        tier.check(Config(), cgroup.fd)
    file.write_text("0-1\n")
    assert tier.check(Config(), cgroup.fd) is TIERS


def test_full_far_memory_is_refused(cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "room", lambda _: (MIB // 2, 100 * MIB))
    with pytest.raises(HostError, match="far memory is full"):
        tier.check(Config(), cgroup.fd)
