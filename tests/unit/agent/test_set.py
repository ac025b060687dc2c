# SPDX-License-Identifier: Apache-2.0
"""`bede set` in the agent: the bound that is held, recorded and kept; with a mock of a holder."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ocihook.agent import registry as module
from ocihook.agent.container import HeldContainer
from ocihook.agent.registry import Registry
from ocihook.backends import tier
from ocihook.cgroup.path import Cgroup
from ocihook.config import Config
from ocihook.errors import InputError
from ocihook.follow.family import Families
from ocihook.state import chosen, records
from ocihook.topology import nodes

M = 1 << 20
ID = "4f" * 32
KEY = records.key_of(ID, "/b")


class Host:
    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.held: list[tuple[int, dict[int, int]]] = []
        self.said: list[str] = []
        (root / "memory.max").write_text(f"{512 * M}\n")
        monkeypatch.setattr(records, "RUN", str(root / "run"))
        monkeypatch.setattr(tier, "hold", lambda *_: self)
        monkeypatch.setattr(HeldContainer, "status", lambda container: {})
        monkeypatch.setattr(nodes, "room", lambda local: (0, 1000 * M))
        monkeypatch.setattr(module, "report", lambda *_, **__: None)
        monkeypatch.setattr(module, "complain", lambda error, *_: self.said.append(error.message))
        self.registry = Registry(Config(), Families())

    def set(self, bound: int, own: dict[int, int]) -> None:
        self.held.append((bound, dict(own)))

    def stats(self) -> Any:
        return SimpleNamespace(demoted=0, overshoot=0)

    def bound(self, id: str = ID, **changes: Any) -> records.Record:
        fields: dict[str, Any] = {"policy": {"bede.local": "25%", "bede.local.0": "64M"}, "bound": 128 * M}
        fields |= {"nodes": {0: 64 * M}, "bundle": "/b"}
        record = records.Record(
            id=id, pid=7, pid_start=1, ns={}, cgroup="/web", cgroup_ino=1, user_high=None, created=1.0,
            **fields | changes,
        )  # fmt: skip
        records.write(record)
        cgroup = Cgroup(str(self.root), "/web", os.open(self.root, os.O_RDONLY | os.O_DIRECTORY))
        self.registry.containers[record.key] = HeldContainer(record, cgroup, nodes.Tiers((0,), (1,)))
        return record


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_a_bound_is_held_recorded_and_remembered(host: Host) -> None:
    key = host.bound().key
    host.registry.set(KEY, "256M")
    found, remembered = records.read(key), chosen.read(ID)
    assert found is not None
    assert remembered is not None
    assert host.held == [(256 * M, {0: 64 * M})]
    assert (found.bound, remembered.bound, remembered.bundle) == (256 * M, 256 * M, "/b")


def test_the_default_is_what_the_annotations_say(host: Host) -> None:
    # As after a restart: the bound that was set is lower than the bound of one node.
    chosen.write(ID, chosen.Chosen(32 * M))
    key = host.bound(bound=32 * M, nodes={0: 32 * M}).key
    host.registry.set(KEY, "default")
    found = records.read(key)
    assert found is not None
    assert host.held == [(128 * M, {0: 64 * M})]
    assert (found.bound, found.nodes) == (128 * M, {0: 64 * M})
    assert chosen.read(ID) is None


def test_what_has_no_id_for_life_is_not_remembered(host: Host) -> None:
    host.bound("web")
    host.registry.set(records.key_of("web", "/b"), "256M")
    assert chosen.read("web") is None
    host.registry.set(records.key_of("web", "/b"), "default")
    assert host.held == [(256 * M, {0: 64 * M}), (128 * M, {0: 64 * M})]


def test_what_is_refused_is_not_remembered(host: Host) -> None:
    host.bound()
    for size in ("32M", "lots", "1M"):
        with pytest.raises(InputError):
            host.registry.set(KEY, size)
    host.registry.containers.clear()
    host.bound(policy={})
    with pytest.raises(InputError, match="has no annotation"):
        host.registry.set(KEY, "default")
    assert host.held == []
    assert chosen.read(ID) is None


def test_what_cannot_be_remembered_is_said(host: Host) -> None:
    host.bound()
    (host.root / "run/bounds").write_text("no directory")
    host.registry.set(KEY, "256M")
    assert host.held == [(256 * M, {0: 64 * M})]
    assert len(host.said) == 1
    assert "bounds cannot be used" in host.said[0]
