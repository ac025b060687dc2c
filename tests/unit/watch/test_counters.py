# SPDX-License-Identifier: Apache-2.0
"""Counters from texts of real kernels: Debian's 6.12 and 7.3, and the patched 7.3."""

import os
from dataclasses import replace
from pathlib import Path

import hosts
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook import host
from ocihook.cgroup import path
from ocihook.control.status import Status
from ocihook.watch import counters

PAGE = os.sysconf("SC_PAGE_SIZE")
OLD = "anon 103690240\nfile 8192\npgdemote_kswapd 1\npgdemote_direct 17401\npgdemote_khugepaged 0\n"
OLD += "pgpromote_success 20797\nnuma_pages_migrated 20800\npgscan_direct 17431\n"
NEW = OLD.replace("pgdemote_direct 17401", "pgdemote_direct 9912") + "pgdemote_proactive 7443\n"
PRESSURE = "some avg10=4.87 avg60=0.90 avg300=0.19 total=570110\n"
FULL = "full avg10=1.08 avg60=0.19 avg300=0.04 total=570100\n"
HELD = Status("kept", "/kept", 0, 0, 0, "tier", stalls=3, fence_events=62)


@pytest.fixture
def one_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with one node that has CPUs."""
    monkeypatch.setattr(counters, "_one_local_cpu_node", lambda: True)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cgroup /kept of a host whose cgroups are in *tmp_path*."""
    monkeypatch.setattr(path, "mount_point", lambda: str(tmp_path))
    directory = tmp_path / "kept"
    directory.mkdir()
    (directory / "memory.stat").write_text(NEW)
    (directory / "memory.events").write_text("low 0\nhigh 176\nmax 2\noom 0\noom_kill 1\n")
    (directory / "memory.pressure").write_text(PRESSURE + FULL)
    return directory


def test_demotions_are_the_sum_of_whoever_asked() -> None:
    assert counters.demoted(counters.keyed(OLD)) == 17402 * PAGE
    assert counters.demoted(counters.keyed(NEW)) == (1 + 9912 + 7443) * PAGE


@pytest.mark.parametrize(
    ("near", "mode", "promoted"),
    (
        ("0", "1", 20800),  # all moves were to the only node with CPUs
        ("0", "2", 20800),
        ("0-1", "2", 20797),
        ("0-1", "3", 20797),
        ("0-1", "1", None),  # moves may have been between these two nodes
        ("0-1", "0", None),
    ),
)
def test_promotions(
    near: str, mode: str, promoted: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.redirect(monkeypatch, tmp_path, node=tmp_path)
    for name, text in (("has_cpu", near), ("has_memory", "0-2")):
        (tmp_path / name).write_text(text)
    hosts.put(tmp_path, host.BALANCING, f"{mode}\n")
    counters._one_local_cpu_node.cache_clear()
    found = counters.promoted(counters.keyed(NEW))
    counters._one_local_cpu_node.cache_clear()
    assert found == (None if promoted is None else promoted * PAGE)


def test_what_a_kernel_does_not_count_is_none(one_near: None) -> None:
    assert counters.demoted({"anon": 4096}) is None
    assert counters.promoted({"anon": 4096}) is None
    assert counters.promoted({"pgpromote_success": 2}) == 2 * PAGE
    assert counters.pressure("") is None
    assert counters.pressure("nonsense") is None
    assert counters.pressure("full avg10=x total=1") is None


def test_pressure() -> None:
    assert counters.pressure(PRESSURE + FULL) == (4.87, 1.08, 570110, 570100)
    assert counters.pressure(PRESSURE) == (4.87, 0.0, 570110, 0)


def test_of_a_held_container(kept: Path, one_near: None) -> None:
    found = counters.read(HELD)
    assert found is not None
    assert (found.demoted, found.promoted) == (17356 * PAGE, 20800 * PAGE)
    assert (found.high, found.max, found.oom_kill) == (176, 2, 1)
    assert (found.stalls, found.fence_events) == (3, 62)
    assert (found.steered_bytes, found.promotion_denied, found.over) == (None, None, None)
    assert found.pressure is not None
    assert found.pressure.some_us == 570110


def test_what_the_agent_has_moved_the_kernel_does_not_count(kept: Path) -> None:
    found = counters.read(replace(HELD, backend="migrate", demoted=5 * PAGE, promoted=2 * PAGE))
    assert found is not None
    assert (found.demoted, found.promoted) == (5 * PAGE, 2 * PAGE)
    assert (found.stalls, found.high) == (3, 176)


def test_beside_a_limit_of_the_kernel(kept: Path) -> None:
    (kept / "memory.node_events").write_text("steered 17098\ndemoted 32\npromotion_denied 5\nover 0\n")
    found = counters.read(replace(HELD, backend="node_limit", inode=kept.stat().st_ino))
    assert found is not None
    assert (found.steered_bytes, found.promotion_denied, found.over) == (17098 * PAGE, 5 * PAGE, 0)
    assert (found.stalls, found.fence_events) == (None, None)  # there is no agent to count them


def test_without_pressure_and_events(kept: Path) -> None:
    (kept / "memory.pressure").unlink()
    (kept / "memory.events").unlink()
    found = counters.read(HELD)
    assert found is not None
    assert (found.pressure, found.high, found.max, found.oom_kill) == (None, None, None, None)


def test_gone(kept: Path) -> None:
    assert counters.read(replace(HELD, cgroup="/other")) is None
    assert counters.read(replace(HELD, inode=kept.stat().st_ino + 1)) is None  # another cgroup of this path
    (kept / "memory.stat").unlink()
    assert counters.read(HELD) is None


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    counters.demoted(counters.keyed(text))
    counters.pressure(text)
    counters.keyed(text)
