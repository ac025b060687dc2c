# SPDX-License-Identifier: Apache-2.0
"""Cgroups that a patched kernel limits, found from their processes; with plain files in place of cgroups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from world import Process, World

from ocihook.cgroup import path
from ocihook.config import Config
from ocihook.follow import discover
from ocihook.follow.discover import Discovery
from ocihook.topology import nodes

M = 1 << 20


class Host:
    def __init__(self, world: World, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.root = world, root
        monkeypatch.setattr(path, "mount_point", lambda: str(root))
        monkeypatch.setattr(nodes, "find", lambda far: nodes.Tiers((0, 1), (2,)))
        self.group("/system.slice", "N0=max N1=max N2=max")

    def group(self, where: str, limit: str) -> Path:
        directory = self.root / where.strip("/")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "memory.node_limit").write_text(limit)
        return directory

    def find(self, pid: int, discovery: Discovery | None = None) -> str | None:
        found = (discovery or Discovery(Config())).find(pid)
        return found.cgroup.path if found else None


@pytest.fixture
def host(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(world, tmp_path, monkeypatch)


def test_a_kernel_without_limits(host: Host) -> None:
    os.unlink(host.root / "system.slice/memory.node_limit")
    assert not Discovery(Config()).possible


def test_the_outermost_limited_cgroup(host: Host) -> None:
    host.group("/pod", "N0=max N1=max N2=max")
    host.group("/pod/libpod-abc.scope", f"N0={M} N1={M} N2=max")
    host.group("/pod/libpod-abc.scope/container", f"N0={M} N1={M} N2=max")
    host.world.processes[100] = Process("/pod/libpod-abc.scope/container")
    found = Discovery(Config()).find(100)
    assert found is not None
    assert (found.cgroup.path, found.id) == ("/pod/libpod-abc.scope", "abc")


@pytest.mark.parametrize("limit", ["N0=max N1=max N2=max", f"N0={M} N1=max N2=max", f"N0=max N1=max N2={M}"])
def test_a_limit_that_is_no_bound(host: Host, limit: str) -> None:
    host.group("/web", limit)
    host.world.processes[100] = Process("/web")
    assert host.find(100) is None


def test_nobody_and_the_root(host: Host) -> None:
    host.world.processes[100] = Process("/")
    assert host.find(100) is None
    assert host.find(101) is None


def test_a_young_cgroup_is_looked_at_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.group("/web", "N0=max N1=max N2=max")
    host.world.processes[100] = Process("/web")
    discovery = Discovery(Config())
    assert host.find(100, discovery) is None
    host.group("/web", f"N0={M} N1={M} N2=max")
    assert host.find(100, discovery) == "/web"
    # An answer about an old cgroup is kept for a moment.
    monkeypatch.setattr(discover, "_YOUNG", 0.0)
    host.group("/old", "N0=max N1=max N2=max")
    host.world.processes[101] = Process("/old")
    assert host.find(101, discovery) is None
    host.group("/old", f"N0={M} N1={M} N2=max")
    assert host.find(101, discovery) is None
    monkeypatch.setattr(discover.time, "monotonic", lambda: 1e12)
    assert host.find(101, discovery) == "/old"


def test_the_first_process_of_the_namespace_stands_for_it(host: Host) -> None:
    directory = host.group("/web", f"N0={M} N1={M} N2=max")
    own = {"pid": 10, "cgroup": 20, "mnt": 30}
    host.world.processes[100] = Process("/web", dict(own), first=True)
    host.world.processes[101] = Process("/web", dict(own), parent=100)
    (directory / "cgroup.procs").write_text("100\n101\n")
    found = Discovery(Config()).find(101)
    assert found is not None
    assert found.pid == 100
