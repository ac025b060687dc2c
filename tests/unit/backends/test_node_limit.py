# SPDX-License-Identifier: Apache-2.0
"""The limits of a patched kernel, with plain files in place of a host's."""

import os
from pathlib import Path

import hosts
import pytest

from ocihook import fs
from ocihook.backends import bind
from ocihook.backends.node_limit import limits
from ocihook.cgroup.path import Cgroup
from ocihook.config import Config
from ocihook.errors import HostError, InputError
from ocihook.host import DEMOTION
from ocihook.spec import annotation

M = 1 << 20


class Host:
    """Nodes with memory, tiers of them, and one cgroup with process 7 in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.group = root / "cgroup/web"
        self.group.mkdir(parents=True)
        (root / "node").mkdir()
        (root / "proc/7").mkdir(parents=True)
        (root / "proc/self").mkdir()
        (root / "proc/7/cgroup").write_text("0::/web\n")
        (root / "proc/self/mountinfo").write_text(f"31 23 0:27 / {root}/cgroup rw - cgroup2 cgroup2 rw\n")
        for name in ("memory.high", "memory.max"):
            (self.group / name).write_text("max\n")
        self.tiers("0-1", "0", "1")
        self.limit("N0=max N1=max")

    def tiers(self, memory: str, *lists: str) -> None:
        (self.root / "node/has_memory").write_text(memory + "\n")
        for rank, nodelist in enumerate(lists):
            (self.root / f"tiers/memory_tier{rank}").mkdir(parents=True, exist_ok=True)
            (self.root / f"tiers/memory_tier{rank}/nodelist").write_text(nodelist + "\n")

    def limit(self, text: str) -> None:
        (self.group / "memory.node_limit").write_text(text + "\n")

    def cgroup(self) -> Cgroup:
        return Cgroup(str(self.root / "cgroup"), "/web", os.open(self.group, os.O_RDONLY))

    def bind(self, annotations: dict[str, str], config: Config | None = None) -> None:
        with self.cgroup() as cgroup:
            limits.bind(cgroup, self.policy(annotations), config or Config())

    def holds(self, annotations: dict[str, str], config: Config | None = None) -> bool:
        return bind.holds(7, self.policy(annotations), config or Config())

    def policy(self, annotations: dict[str, str]) -> annotation.Policy:
        policy = annotation.parse(annotations)
        assert policy is not None
        return policy


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    hosts.redirect(monkeypatch, tmp_path)
    return Host(tmp_path)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def note(op: str, name: str, data: str) -> None:
        if op == "write":
            found.append((name, data))

    monkeypatch.setattr(fs, "recorder", note)
    return found


def test_one_write_of_the_local_nodes_alone(host: Host, writes: list[tuple[str, str]]) -> None:
    host.bind({"bede.local": "128M"})
    assert writes == [("memory.node_limit", f"N0={128 * M}")]


def test_several_local_nodes_share_the_bound(host: Host, writes: list[tuple[str, str]]) -> None:
    host.tiers("0-2", "0-1", "2")
    host.limit("N0=max N1=max N2=max")
    host.bind({"bede.local": "128M", "bede.local.1": "32M"})
    assert writes == [("memory.node_limit", f"N0={96 * M} N1={32 * M}")]


def test_a_smaller_limit_of_the_users_own_stays(host: Host, writes: list[tuple[str, str]]) -> None:
    host.tiers("0-2", "0-1", "2")
    host.limit(f"N0={16 * M} N1={100 * M} N2={7 * M}")
    host.bind({"bede.local": "128M"})
    assert writes == [("memory.node_limit", f"N1={64 * M}")]
    host.limit(f"N0={16 * M} N1={64 * M} N2={7 * M}")
    host.bind({"bede.local": "128M"})
    assert len(writes) == 1


def test_a_percentage_is_of_memory_max(host: Host, writes: list[tuple[str, str]]) -> None:
    (host.group / "memory.max").write_text(f"{512 * M}\n")
    host.bind({"bede.local": "25%"})
    assert writes == [("memory.node_limit", f"N0={128 * M}")]


def test_neither_a_lower_tier_nor_demotion_is_needed(host: Host, writes: list[tuple[str, str]]) -> None:
    host.tiers("0-1", "0-1")
    (host.root / "tiers/memory_tier1/nodelist").unlink()
    host.bind({"bede.local": "128M"}, Config(far_nodes=(0,)))
    assert writes == [("memory.node_limit", f"N1={128 * M}")]
    assert not (host.root / DEMOTION[1:]).exists()


def test_without_a_lower_tier_the_hint_is_the_configuration(
    host: Host, writes: list[tuple[str, str]]
) -> None:
    host.tiers("0-1", "0-1", "")
    with pytest.raises(HostError, match="one memory tier") as error:
        host.bind({"bede.local": "128M"})
    assert "far_nodes: [1]" in error.value.hint
    assert writes == []


@pytest.mark.parametrize(
    ("file", "text", "annotations", "error", "words"),
    [
        ("cgroup/web/cpuset.mems.effective", "0\n", {}, HostError, "cpuset has no far node"),
        ("tiers/memory_tier1/nodelist", "\n", {}, HostError, "all in one memory tier"),
        ("node/has_memory", "0-1\n", {"bede.local.1": "8M"}, InputError, "not a local node"),
        ("cgroup/web/memory.max", "max\n", {"bede.local": "50%"}, InputError, "there is none"),
    ],
)
def test_what_cannot_be_bound_is_left_alone(
    host: Host,
    writes: list[tuple[str, str]],
    file: str,
    text: str,
    annotations: dict[str, str],
    error: type[Exception],
    words: str,
) -> None:
    (host.root / file).write_text(text)
    with pytest.raises(error, match=words):
        host.bind({"bede.local": "16M", **annotations})
    assert writes == []


def test_one_node_is_refused(host: Host, writes: list[tuple[str, str]]) -> None:
    host.tiers("0", "0", "")
    with pytest.raises(HostError, match="one NUMA node"):
        host.bind({"bede.local": "16M"})
    assert writes == []


def test_full_far_memory_is_refused(host: Host, writes: list[tuple[str, str]]) -> None:
    (host.root / "node/node1").mkdir()
    (host.root / "node/node1/meminfo").write_text("Node 1 MemTotal: 100000 kB\nNode 1 MemFree: 10 kB\n")
    with pytest.raises(HostError, match="far memory is full"):
        host.bind({"bede.local": "16M"})
    assert writes == []


@pytest.mark.parametrize(
    ("limits", "annotations", "held"),
    [
        (f"N0={64 * M} N1=max", {}, True),
        (f"N0={63 * M} N1=max", {}, True),
        (f"N0={64 * M + 4096} N1=max", {}, False),
        (f"N0=max N1={64 * M}", {}, False),
        (f"N0={64 * M} N1=max", {"bede.local.0": "32M"}, False),
        (f"N0={32 * M} N1=max", {"bede.local.0": "32M"}, True),
        (f"N0={32 * M} N1=max", {"bede.local": "50%"}, False),
    ],
)
def test_what_is_in_force(host: Host, limits: str, annotations: dict[str, str], held: bool) -> None:
    host.limit(limits)
    assert host.holds({"bede.local": "64M", **annotations}) is held


def test_the_bound_is_on_all_local_nodes_together(host: Host) -> None:
    host.tiers("0-2", "0-1", "2")
    for given, held in ((f"N0={32 * M} N1={32 * M}", True), (f"N0={32 * M} N1={33 * M}", False)):
        host.limit(given + " N2=max")
        assert host.holds({"bede.local": "64M"}) is held


def test_nothing_is_in_force_where_nothing_can_be(host: Host) -> None:
    host.limit(f"N0={64 * M} N1=max")
    assert not host.holds({"bede.local": "64M"}, Config(far_nodes=(5,)))
    (host.group / "memory.node_limit").unlink()
    assert not host.holds({"bede.local": "64M"})
    (host.root / "proc/7/cgroup").unlink()
    assert not host.holds({"bede.local": "64M"})


def test_what_is_bound_is_in_force(host: Host) -> None:
    for annotations in ({"bede.local": "64M"}, {"bede.local": "64M", "bede.local.0": "16M"}):
        # Shorter than the new text: a plain file, unlike the kernel's, would keep the rest of a longer one.
        host.limit("N0=max")
        assert not host.holds(annotations)
        host.bind(annotations)
        assert host.holds(annotations)
