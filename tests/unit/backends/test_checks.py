# SPDX-License-Identifier: Apache-2.0
from types import ModuleType

import pytest

from ocihook import native
from ocihook.backends import checks, migrate, tier
from ocihook.config import Config
from ocihook.errors import HostError, InputError
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

MIB = 1 << 20
TIERS = Tiers((0,), (1,))


def test_only_local_nodes_have_bounds_of_their_own() -> None:
    checks.require_local_nodes({0: MIB}, TIERS)
    with pytest.raises(InputError, match="node 1 is not a local node"):
        checks.require_local_nodes({1: MIB}, TIERS)


@pytest.mark.parametrize("mems", ["", "\n", "0-1\n", "1", "for the kernel to judge"])
def test_a_cpuset_with_a_far_node(mems: str) -> None:
    checks.require_far_node_in_cpuset(mems, TIERS)


@pytest.mark.parametrize("mems", ["0\n", "0,2-3"])
def test_a_cpuset_without_one(mems: str) -> None:
    with pytest.raises(HostError, match="no far node"):
        checks.require_far_node_in_cpuset(mems, TIERS)


@pytest.mark.parametrize("backend", [tier, migrate], ids=["tier", "migrate"])
@pytest.mark.parametrize(
    "tiers", [Tiers((0, 70), (1,)), Tiers((0,), (1, nodes.MOST_NODES))], ids=["local", "far"]
)
def test_a_node_beyond_those_that_an_agent_can_hold(
    backend: ModuleType, tiers: Tiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "find", lambda far_nodes: tiers)
    beyond = max(*tiers.local, *tiers.far)
    with pytest.raises(HostError, match=f"memory node {beyond} of this host cannot be held.* nodes 0 to 63"):
        backend.possible(Config())
    with pytest.raises(HostError, match=f"node {beyond}"):
        backend.check(Config(), -1)


def test_the_last_node_that_can_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    tiers = Tiers((0,), (nodes.MOST_NODES - 1,))
    monkeypatch.setattr(nodes, "find", lambda far_nodes: tiers)
    assert tier.possible(Config()) is tiers


def test_the_agent_can_hold_what_the_hook_lets_pass() -> None:
    assert native.MAX_NODES == nodes.MOST_NODES


def test_full_far_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "room", lambda far: (MIB, 100 * MIB) if far == (1,) else (0, 1))
    checks.require_far_room(TIERS)
    monkeypatch.setattr(nodes, "room", lambda _: (MIB - 1, 100 * MIB))
    with pytest.raises(HostError, match="far memory is full"):
        checks.require_far_room(TIERS)


def test_what_the_kernel_keeps_for_itself_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "room", lambda _: (6 * MIB, 100 * MIB))
    monkeypatch.setattr(nodes, "reserved", lambda which: {TIERS.far: 5 * MIB + 1}[which])
    with pytest.raises(HostError, match="far memory is full"):
        checks.require_far_room(TIERS)
    monkeypatch.setattr(nodes, "reserved", lambda _: 5 * MIB)
    checks.require_far_room(TIERS)


def test_with_room_enough_nobody_asks_what_the_kernel_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc/zoneinfo is long on a host with many CPUs, and each container's start would have to read it."""
    monkeypatch.setattr(nodes, "room", lambda _: (10 * MIB, 100 * MIB))
    monkeypatch.delattr(nodes, "reserved")
    checks.require_far_room(TIERS)


@pytest.mark.parametrize(
    ("bound", "own", "limit", "words"),
    [
        (100, {}, None, ""),
        (100, {0: 50}, 200, ""),
        (200, {}, 200, "its bound of 200M has no effect: its memory limit is 200M"),
        (300, {}, 200, "its memory limit is 200M"),
        (1000, {}, None, "its bound of 1000M has no effect: all local memory is 1000M"),
        (600, {0: 400, 2: 500}, None, "its bound of 500M has no effect: all memory of node 2 is 500M"),
    ],
)
def test_a_bound_that_holds_nothing_back(
    monkeypatch: pytest.MonkeyPatch, bound: int, own: dict[int, int], limit: int | None, words: str
) -> None:
    monkeypatch.setattr(nodes, "room", lambda which: (0, len(which) * 500 * MIB))
    in_bytes = {node: value * MIB for node, value in own.items()}
    found = checks.useless(bound * MIB, in_bytes, limit and limit * MIB, (0, 2))
    assert (words in found) if words else (found == "")


def test_what_cannot_be_read_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "room", lambda which: (0, 0))
    assert checks.useless(MIB, {0: MIB}, None, (0,)) == ""


def test_a_cpuset_of_more_nodes_than_there_can_be_is_left_to_the_kernel() -> None:
    checks.require_far_node_in_cpuset("0-99999999999999", TIERS)
