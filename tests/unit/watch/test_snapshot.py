# SPDX-License-Identifier: Apache-2.0
"""Snapshots of containers: the tests use directories of plain files as their cgroups."""

import threading
import time
from pathlib import Path
from typing import Any

import hosts
import pytest

from ocihook.cgroup import path
from ocihook.control.status import Status, from_json
from ocihook.errors import AgentError, InputError
from ocihook.host import PAGE
from ocihook.topology import nodes
from ocihook.watch import containers, counters, roster
from ocihook.watch.roster import Roster
from ocihook.watch.snapshot import Snapshots


class Host:
    """A host's containers: their cgroups in a directory, and the agent's listing."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.listed: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.asked = threading.Event()

    def listing(self) -> list[Status]:
        self.asked.set()
        if self.error:
            raise self.error
        return [from_json(one) for one in self.listed]

    def start(self, name: str) -> None:
        (self.where / name).mkdir()
        self.count(name, 0)
        one = {"id": f"{name}-id", "name": name, "cgroup": f"/{name}", "backend": "tier"}
        self.listed.append(one | {"bound": 8192, "local": 0, "far": 0})

    def count(self, name: str, pages: int) -> None:
        (self.where / name / "memory.numa_stat").write_text("inactive_anon N0=4096 N1=8192\n")
        (self.where / name / "memory.stat").write_text(f"pgdemote_direct {pages}\n")

    def end(self, name: str) -> None:
        for file in (self.where / name).iterdir():
            file.unlink()
        (self.where / name).rmdir()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    monkeypatch.setattr(path, "mount_point", lambda: str(tmp_path))
    monkeypatch.setattr(containers, "listing", found.listing)
    monkeypatch.setattr(nodes, "find", lambda far: nodes.Tiers((0,), (1,)))
    monkeypatch.setattr(counters, "_one_local_cpu_node", lambda: True)
    hosts.redirect(monkeypatch, tmp_path)
    found.start("web")
    return found


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_rates_are_of_the_time_between_looks(host: Host) -> None:
    with Snapshots(Roster()) as snapshots:
        (first,) = snapshots.take()
        assert (first.local, first.far, first.bound, first.demoting) == (4096, 8192, 8192, None)
        assert first.share == 50
        host.count("web", 10)
        (second,) = snapshots.take()
        assert second.demoting == pytest.approx(10 * PAGE / (second.clock - first.clock))
        assert second.promoting is None  # this host does not count it


def test_one_that_ends_is_left_out_and_its_successor_begins_anew(host: Host) -> None:
    with Snapshots(Roster()) as snapshots:
        snapshots.take()
        host.end("web")
        assert snapshots.take() == []
        host.listed.clear()
        host.start("web")
        snapshots.roster.found = host.listing()
        (again,) = snapshots.take()
        assert again.demoting is None


def test_only_those_that_are_named(host: Host) -> None:
    host.start("db")
    assert [one.name for one in Roster(["db"]).found] == ["db"]
    assert len(Roster().found) == 2
    with pytest.raises(InputError):
        Roster(["nobody"])


def test_who_comes_is_seen_and_an_agent_that_is_away_is_no_end(host: Host) -> None:
    with Roster(seconds=0.005) as found, Snapshots(found) as snapshots:
        host.start("db")
        wait_for(lambda: len(snapshots.take()) == 2)
        host.error = AgentError("the agent cannot be reached")
        wait_for(lambda: found.error)
        assert len(snapshots.take()) == 2
        host.error = None
        wait_for(lambda: not found.error)


def test_one_that_was_named_is_looked_at_while_it_is_there(host: Host) -> None:
    with Roster(["web"], seconds=0.005) as found, Snapshots(found) as snapshots:
        host.listed.clear()  # an agent that has just started knows no containers
        host.asked.clear()
        wait_for(host.asked.is_set)
        wait_for(lambda: len(snapshots.take()) == 1)
        host.end("web")
        wait_for(lambda: not snapshots.take())


def test_first_answer_has_to_come(host: Host) -> None:
    host.error = AgentError("the agent cannot be reached")
    with pytest.raises(AgentError):
        Roster()


@pytest.mark.parametrize("seconds", (0, -1, float("nan"), float("inf"), 1e9))
def test_intervals_that_cannot_be(seconds: float) -> None:
    with pytest.raises(InputError):
        roster.check(seconds, 0.01)
