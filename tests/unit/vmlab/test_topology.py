# SPDX-License-Identifier: Apache-2.0
"""QEMU's arguments for the nodes."""

import pytest

from ocihook.errors import InputError
from vmlab import topology


def values(args: list[str], option: str) -> list[str]:
    return [args[i + 1] for i, arg in enumerate(args) if arg == option]


def test_two_tier_has_a_far_node_that_the_hmat_calls_slower() -> None:
    args = topology.find("two-tier").arguments()
    assert values(args, "-machine") == ["q35,hmat=on"]
    numa = values(args, "-numa")
    assert "node,nodeid=0,memdev=m0,cpus=0-1,initiator=0" in numa
    assert "node,nodeid=1,memdev=m1,initiator=0" in numa
    latency = {n.rsplit("=", 1)[1] for n in numa if "access-latency" in n}
    assert len([n for n in numa if n.startswith("hmat-lb")]) == 4
    assert latency == {"10", "30"}


def test_three_node_has_two_local_nodes_with_a_cpu_each() -> None:
    args = topology.find("three-node").arguments()
    nodes = [n for n in values(args, "-numa") if n.startswith("node,")]
    assert [("cpus=" in n) for n in nodes] == [True, True, False]
    assert values(args, "-smp") == ["2,sockets=2,cores=1,threads=1"]
    assert len([n for n in values(args, "-numa") if n.startswith("hmat-lb")]) == 2 * 3 * 2


@pytest.mark.parametrize("name", ["two-socket", "single"])
def test_no_lower_tier_where_the_firmware_tells_of_none(name: str) -> None:
    args = topology.find(name).arguments()
    assert values(args, "-machine") == ["q35"]
    assert not [n for n in values(args, "-numa") if "hmat" in n or "initiator" in n]


@pytest.mark.parametrize("name", topology.TOPOLOGIES)
def test_every_machine_has_two_cpus_and_memory_that_adds_up(name: str) -> None:
    args = topology.find(name).arguments()
    assert values(args, "-smp")[0].startswith("2,")
    sizes = [int(v.rsplit("size=")[1].rstrip("M")) for v in values(args, "-object")]
    plugged = [int(v.partition("memdev=m")[2].partition(",")[0]) for v in values(args, "-device")]
    built_in = sum(size for node, size in enumerate(sizes) if node not in plugged)
    assert values(args, "-m")[0].split(",")[0] == f"{built_in}M"


def test_module_is_plugged_into_a_slot_and_its_node_begins_empty() -> None:
    module = topology.find("module").resized([512, 256])
    args = module.arguments()
    assert "slots=1" in values(args, "-m")[0]
    assert "node,nodeid=1,initiator=0" in values(args, "-numa")
    assert values(args, "-device") == ["pc-dimm,id=module1,memdev=m1,node=1"]
    assert "memhp_default_state=offline" in module.kernel


def test_resized_wants_one_size_a_node() -> None:
    two = topology.find("two-tier")
    assert [node.size for node in two.resized([256, 512]).nodes] == [256, 512]
    assert two.resized([256, 512]).hmat
    with pytest.raises(InputError, match="2 memory nodes"):
        two.resized([256])


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(InputError) as error:
        topology.find("four-tier")
    assert "two-tier" in error.value.hint


def test_cpus_are_spread_over_the_nodes_that_have_some() -> None:
    assert [node.cpus for node in topology.find("two-tier").with_cpus(3).nodes] == [(0, 1, 2), ()]
    two = topology.find("two-socket").with_cpus(4)
    assert [node.cpus for node in two.nodes] == [(0, 1), (2, 3)]
    assert values(two.arguments(), "-smp") == ["4,sockets=2,cores=2,threads=1"]
    for count in (0, 1, 3, 66):
        with pytest.raises(InputError) as error:
            topology.find("two-socket").with_cpus(count)
        assert "a multiple of 2, 64 at most" in error.value.hint
