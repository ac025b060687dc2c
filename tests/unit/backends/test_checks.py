import pytest

from ocihook.backends import checks
from ocihook.errors import HostError, InputError
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

MIB = 1 << 20
TIERS = Tiers((0,), (1,))


def test_only_local_nodes_have_bounds_of_their_own() -> None:
    checks.local({0: MIB}, TIERS)
    with pytest.raises(InputError, match="node 1 is not a local node"):
        checks.local({1: MIB}, TIERS)


@pytest.mark.parametrize("mems", ["", "\n", "0-1\n", "1", "for the kernel to judge"])
def test_a_cpuset_with_a_far_node(mems: str) -> None:
    checks.cpuset(mems, TIERS)


@pytest.mark.parametrize("mems", ["0\n", "0,2-3"])
def test_a_cpuset_without_one(mems: str) -> None:
    with pytest.raises(HostError, match="no far node"):
        checks.cpuset(mems, TIERS)


def test_full_far_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "room", lambda far: (MIB, 100 * MIB) if far == (1,) else (0, 1))
    checks.room(TIERS)
    monkeypatch.setattr(nodes, "room", lambda _: (MIB - 1, 100 * MIB))
    with pytest.raises(HostError, match="far memory is full"):
        checks.room(TIERS)


def test_a_cpuset_of_more_nodes_than_there_can_be_is_left_to_the_kernel() -> None:
    checks.cpuset("0-99999999999999", TIERS)
