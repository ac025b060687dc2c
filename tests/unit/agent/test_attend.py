# SPDX-License-Identifier: Apache-2.0
"""What the agent logs about containers that need attention; the holders are mocks."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ocihook.agent import registry as module
from ocihook.agent.registry import Registry
from ocihook.backends import choose
from ocihook.config import Config
from ocihook.control.status import Status
from ocihook.errors import AgentError, InputError
from ocihook.follow.family import Families
from ocihook.state import records
from ocihook.topology import nodes

M = 1 << 20
QUIET: dict[str, Any] = {"error": 0, "stalled": False, "steered": True, "rounds": 1, "demoted": 0}
QUIET |= {"overshoot": 0, "program_bound": 0, "local": 100 * M, "bound": 32 * M}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(event, text and hint) of each journal line."""
    lines: list[tuple[str, str]] = []

    def complain(error: AgentError, event: str, container: str) -> None:
        lines.append((event, error.line("")))

    monkeypatch.setattr(module, "report", lambda text, event, *_, **__: lines.append((event, text)))
    monkeypatch.setattr(module, "complain", complain)
    monkeypatch.setattr(module.path, "reopen", lambda where, inode: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(nodes, "room", lambda which: (5 * M, 2048 * M))
    return lines


def attended(backend: str, **stats: Any) -> Registry:
    registry = Registry(Config(), Families())
    record = SimpleNamespace(id="web", cgroup="/web", cgroup_ino=1, backend=backend, cpuset={}, bound=32 * M)
    seen = SimpleNamespace(**QUIET | stats)
    container = SimpleNamespace(
        record=record,
        tiers=nodes.Tiers((0,), (1,)),
        remember=lambda: None,
        holder=SimpleNamespace(stats=lambda: seen),
    )
    container.troubles = lambda seen: choose.named(backend).troubles(record, container.tiers, seen)  # type: ignore[arg-type]
    registry.containers["web-0"] = container  # type: ignore[assignment]
    for _ in range(3):
        registry.attend()
    return registry


@pytest.mark.parametrize(
    ("backend", "stats", "words"),
    [
        ("tier", {}, "nothing of it can be demoted (5 of 2048 MiB of far memory can be had)"),
        ("migrate", {}, "its pages cannot be moved (5 of 2048 MiB of far memory can be had). Free far"),
        ("migrate", {"local": 36 * M}, "page cache that no process has mapped"),
        ("migrate", {"program_bound": 8 * M}, "its pages cannot be moved"),
        ("migrate", {"program_bound": 64 * M}, "64 MiB are where its programs bind them"),
    ],
)
def test_a_stall_is_told_once_with_what_is_in_the_way(
    said: list[tuple[str, str]], backend: str, stats: dict[str, int], words: str
) -> None:
    attended(backend, stalled=True, **stats)
    (line,) = [text for event, text in said if event == "stalled"]
    assert words in line


def test_what_programs_have_placed_is_told_once(said: list[tuple[str, str]]) -> None:
    attended("migrate", program_bound=90 * M)
    assert [event for event, _ in said] == ["own"]
    assert said[0][1].startswith("90 MiB of its local memory are left there and counted")


def test_there_is_nothing_to_say_of_what_is_well(said: list[tuple[str, str]]) -> None:
    attended("migrate")
    attended("tier")
    assert said == []


class Held:
    """A held container in the cgroup *where*, which takes any bound (a mock)."""

    def __init__(self, where: Path, bound: int) -> None:
        self.record = SimpleNamespace(
            **{"id": "web", "key": "web-0", "cgroup": "/web", "bound": bound, "nodes": {}}
        )
        self.cgroup = module.path.Cgroup(str(where), "/web", os.open(where, os.O_RDONLY))
        self.tiers = nodes.Tiers((0,), (1,))
        self.holder = SimpleNamespace(stats=lambda: SimpleNamespace(demoted=0, overshoot=0))

    def set(self, bound: int, nodes: dict[int, int]) -> None:
        self.record.bound = bound

    def choose(self, bound: int | None) -> None:
        pass

    def status(self) -> Status:
        return Status("web", "/web", self.record.bound, 0, 0, "tier")


@pytest.mark.parametrize(
    ("size", "useless"),
    [
        ("64M", ""),
        ("256M", "its bound of 256M has no effect: its memory limit is 256M"),
        ("3G", "its bound of 3G has no effect: its memory limit is 256M"),
        ("max", ""),
    ],
)
def test_a_new_bound_that_holds_nothing_back_is_told_and_answered(
    said: list[tuple[str, str]], tmp_path: Path, size: str, useless: str
) -> None:
    (tmp_path / "memory.max").write_text(f"{256 * M}\n")
    registry = Registry(Config(), Families())
    registry.containers["web-0"] = Held(tmp_path, 32 * M)  # type: ignore[assignment]
    assert registry.set("web-0", size).useless == useless
    assert [text for event, text in said if event == "useless"] == ([useless] if useless else [])


def test_so_is_that_of_a_new_container(
    said: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    held = Held(tmp_path, 4096 * M)
    record = SimpleNamespace(
        **vars(held.record), cgroup_ino=1, backend="migrate", cpuset={}, pid=1, pid_start=1
    )
    held.record = record
    monkeypatch.setattr(module.nodes, "present", lambda far: held.tiers)
    monkeypatch.setattr(module, "HeldContainer", lambda *_: held)
    monkeypatch.setattr(module.Family, "of_record", lambda *_: None)
    registry = Registry(Config(), SimpleNamespace(add=lambda one: None))  # type: ignore[arg-type]
    registry.ready = True
    registry.adopt(record)  # type: ignore[arg-type]
    assert [event for event, _ in said] == ["bound", "useless"]
    assert said[1][1] == "its bound of 4G has no effect: all local memory is 2048M"


def test_the_record_of_a_container_that_is_held_is_written_again(
    said: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(records, "RUN", str(tmp_path))
    record = records.Record(
        id="web", bundle="/b", pid=7, pid_start=1, ns={}, cgroup="/web", cgroup_ino=1, policy={},
        bound=32 * M, nodes={}, user_high=None, created=1.0,
    )  # fmt: skip
    records.write(record)
    registry = Registry(Config(), Families())
    registry.containers[record.key] = SimpleNamespace(record=record)  # type: ignore[assignment]
    for text in ("{", json.dumps({"version": 99})):
        (tmp_path / f"containers/{record.key}.json").write_text(text)
        monkeypatch.setattr(registry, "adopt", lambda record: None)
        registry.adopt_all()
        found = records.read(record.key)
        assert found is not None
        assert found.dumps() == record.dumps()
        assert list(registry.containers) == [record.key]
    assert [event for event, _ in said] == ["bad_record", "bad_record"]
    assert all("written again" in text for _, text in said)


def test_a_new_container_is_held_by_the_settings_that_its_hook_has_read(
    said: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the agent's older settings it would have no bound, and only the journal would say so."""
    held = Held(tmp_path, 4096 * M)
    record = SimpleNamespace(
        **vars(held.record), cgroup_ino=1, backend="migrate", cpuset={}, pid=1, pid_start=1
    )
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(module.nodes, "present", lambda far: asked.append(far) or held.tiers)
    monkeypatch.setattr(module, "HeldContainer", lambda *_: held)
    monkeypatch.setattr(module.Family, "of_record", lambda *_: None)
    monkeypatch.setattr(module.config, "load", lambda: Config(far_nodes=(1,), move_rate=7))
    registry = Registry(Config(), SimpleNamespace(add=lambda one: None))  # type: ignore[arg-type]
    registry.adopt(record)  # type: ignore[arg-type]
    assert asked == [(1,)]
    assert (registry.config.far_nodes, registry.config.move_rate) == ((1,), 7)

    def wrong() -> Config:
        raise InputError("line 1: no such setting")

    monkeypatch.setattr(module.config, "load", wrong)
    registry.containers.clear()
    registry.adopt(record)  # type: ignore[arg-type]
    assert asked == [(1,), (1,)]
    assert said[-1] == ("config", ": line 1: no such setting.")
