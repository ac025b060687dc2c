# SPDX-License-Identifier: Apache-2.0
"""Local and far nodes, from plain files in place of sysfs."""

from pathlib import Path

import hosts
import pytest

from ocihook import host as files
from ocihook.errors import HostError
from ocihook.topology import nodes


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    hosts.redirect(monkeypatch, tmp_path)
    (tmp_path / "node").mkdir()
    return tmp_path


def host(sysfs: Path, memory: str, **tiers: str) -> None:
    (sysfs / "node/has_memory").write_text(memory + "\n")
    for name, nodelist in tiers.items():
        (sysfs / "tiers" / name).mkdir(parents=True)
        (sysfs / "tiers" / name / "nodelist").write_text(nodelist + "\n")


@pytest.mark.parametrize(
    ("text", "numbers"), [("0\n", (0,)), ("0-2,7\n", (0, 1, 2, 7)), ("\n", ()), ("3,1", (1, 3))]
)
def test_kernel_lists(text: str, numbers: tuple[int, ...]) -> None:
    assert nodes.parse_list(text) == numbers


@pytest.mark.parametrize("text", ["0", "0-2,7", "", "1,3", "5-6"])
def test_kernel_lists_are_written_as_the_kernel_does(text: str) -> None:
    assert nodes.format_list(nodes.parse_list(text)) == text


def test_the_fastest_tier_is_local(sysfs: Path) -> None:
    host(sysfs, "0-3", memory_tier33="3", memory_tier4="0-1", memory_tier22="2", memory_tier99="")
    found = nodes.find()
    assert (found.local, found.far) == ((0, 1), (2, 3))


@pytest.mark.parametrize(
    ("memory", "tiers", "words"),
    [
        ("0", {"memory_tier4": "0"}, "one NUMA node"),
        ("0-1", {"memory_tier4": "0-1"}, "all in one memory tier"),
    ],
)
def test_a_host_without_far_memory(sysfs: Path, memory: str, tiers: dict[str, str], words: str) -> None:
    host(sysfs, memory, **tiers)
    with pytest.raises(HostError, match=words) as error:
        nodes.find()
    assert error.value.hint


def test_the_configuration_may_name_the_far_nodes(sysfs: Path) -> None:
    host(sysfs, "0-2", memory_tier4="0-2")
    assert nodes.find((2,)).local == (0, 1)
    with pytest.raises(HostError, match="node 5, which has no memory"):
        nodes.find((5,))
    with pytest.raises(HostError, match="none is local"):
        nodes.find((0, 1, 2))
    assert nodes.with_memory() == (0, 1, 2)


@pytest.mark.parametrize(
    ("cpus", "far", "words", "todo"),
    [
        ("0", (0,), "names node 0, and no other has CPUs", "far_nodes: [1, 2]"),
        ("0-1", (0, 1), "names nodes 0 and 1, and no other has CPUs", "far_nodes: [2]"),
        ("0-1", (1,), "", ""),
        ("0", (1, 2), "", ""),
        ("", (0,), "", ""),
    ],
)
def test_what_is_near_to_every_cpu_cannot_be_called_far(
    sysfs: Path, cpus: str, far: tuple[int, ...], words: str, todo: str
) -> None:
    host(sysfs, "0-2", memory_tier4="0-1", memory_tier33="2")
    (sysfs / "node/has_cpu").write_text(cpus + "\n")
    if words:
        with pytest.raises(HostError, match=words) as error:
            nodes.find(far)
        assert todo in error.value.hint
    else:
        assert nodes.find(far).far == far
    # CPUs can go offline while containers are bound.
    assert nodes.present(far).far == far


def test_demotion_is_turned_on_once(sysfs: Path) -> None:
    with pytest.raises(HostError, match="cannot demote"):
        nodes.enable_demotion()
    switch = sysfs / files.DEMOTION[1:]
    switch.parent.mkdir(parents=True)
    switch.write_text("false\n")
    nodes.enable_demotion()
    assert switch.read_text().startswith("1")
    switch.write_text("true\n")
    nodes.enable_demotion()
    assert switch.read_text() == "true\n"


def test_what_can_be_had_of_a_node(sysfs: Path) -> None:
    (sysfs / "node/node1").mkdir()
    (sysfs / "node/node1/meminfo").write_text(
        "Node 1 MemTotal:       1000 kB\nNode 1 MemFree:         100 kB\nNode 1 Active(anon):    500 kB\n"
        "Node 1 Active(file):     20 kB\nNode 1 Inactive(file):   30 kB\n"
    )
    assert nodes.room((1, 2)) == (150 * 1024, 1000 * 1024)


@pytest.mark.parametrize("text", ["a", "3-", "-1", "1--2", "0-1024", "0-99999999999999", "9" * 5000, "٣"])
def test_a_list_that_is_not_the_kernels(sysfs: Path, text: str) -> None:
    with pytest.raises(ValueError, match="is not a NUMA node"):
        nodes.parse_list(text)
    host(sysfs, text)
    assert nodes.with_memory() == ()


def test_what_is_no_number_of_a_node_or_tier_counts_as_nothing(sysfs: Path) -> None:
    host(sysfs, "0-1", memory_tier4="0", memory_tier22="1")
    (sysfs / "tiers" / "memory_tier²").mkdir()
    assert nodes.find().far == (1,)
    (sysfs / "node/node1").mkdir()
    (sysfs / "node/node1/meminfo").write_text("Node 1 MemTotal: x kB\nNode 1 MemFree: -1 kB\n")
    assert nodes.room((1,)) == (0, 0)


def test_far_nodes_of_the_configuration_may_have_gone(sysfs: Path) -> None:
    host(sysfs, "0-2", memory_tier4="0-2")
    assert nodes.present((2, 5)).far == (2,)
    assert nodes.present((1, 2)).far == (1, 2)
    with pytest.raises(HostError, match="none of the far nodes 5, 6 has memory"):
        nodes.present((5, 6))
