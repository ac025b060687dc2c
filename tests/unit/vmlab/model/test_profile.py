# SPDX-License-Identifier: Apache-2.0
"""Profiles: those that come with the machine, and what is wrong with others."""

from pathlib import Path

import pytest

from ocihook.errors import InputError
from vmlab import topology
from vmlab.model import plugin, profile

GOOD = "about: a test\nlocal: {latency_ns: 80}\nfar: {latency_ns: 200, bandwidth_gbps: 10}\n"


@pytest.mark.parametrize("name", profile.names())
def test_far_memory_is_slower_and_each_figure_has_its_source(name: str) -> None:
    found = profile.find(name)
    assert 0 < found.local.latency_ns < found.far.latency_ns
    assert found.about
    assert found.topology in topology.TOPOLOGIES
    text = (profile.DIRECTORY / f"{name}.yaml").read_text()
    assert "20" in "".join(line for line in text.splitlines() if line.startswith("#") and "SPDX" not in line)


def test_a_profile_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD + "cpu: {window: 0}\nshared: {bytes: 1M, ways: 8, hit_ns: 10.5}\n")
    mine = profile.find(str(path))
    assert (mine.name, mine.local.latency_ns, mine.far.bandwidth_gbps) == ("mine", 80, 10)
    assert (mine.cpu.window, mine.cpu.overlap) == (0, profile.Cpu().overlap)
    assert (mine.shared.bytes, mine.shared.hit_ns) == (1 << 20, 10.5)


@pytest.mark.parametrize(
    ("text", "wrong"),
    (
        ("", "has to be a mapping"),
        ("- 1", "has to be a mapping"),
        ("a: [", "no YAML"),
        ("about: x\nlocal: {latency_ns: 80}\n", "far is missing"),
        ("about: x\nlocal: {}\nfar: {latency_ns: 1}\n", "local: latency_ns is missing"),
        (GOOD + "colour: red\n", "'colour' is not known"),
        (GOOD + "cpu: 3\n", "cpu has to be a mapping"),
        (GOOD + "cpu: {window: many}\n", "'many' is no whole number"),
        (GOOD + "cpu: {window: 1.5}\n", "1.5 is no whole number"),
        (GOOD + "cpu: {window: -1}\n", "-1 is no whole number"),
        (GOOD + "cpu: {window: true}\n", "True is no whole number"),
        (GOOD.replace("80", ".nan"), "is no number"),
    ),
)
def test_what_is_wrong_is_said_in_one_line(text: str, wrong: str) -> None:
    with pytest.raises(InputError) as caught:
        profile.parse("mine", text)
    assert wrong in caught.value.line("bede")
    assert "\n" not in caught.value.line("bede")


@pytest.mark.parametrize("name", ("nosuch", "../profile", "nosuch.yaml"))
def test_no_such_profile(name: str) -> None:
    with pytest.raises(InputError):
        profile.find(name)


def configured(name: str, nodes: topology.Topology) -> list[list[str]]:
    text = plugin.configuration(profile.find(name), nodes, Path("/r"))
    return [line.split() for line in text.splitlines()]


def test_the_plugin_is_told_latencies_and_addresses() -> None:
    nodes = topology.find("two-tier").resized([2560, 2048])
    lines = configured("optane", nodes)
    assert ["link", "0", "0", "81000", "4050"] in lines
    assert ["link", "0", "1", "305000", "15250"] in lines
    assert ["device", "0", "0"] in lines
    assert ["device", "1", str(round(64_000 / 39.4))] in lines
    assert [line for line in lines if line[0] == "cpu"] == [["cpu", "0", "0"], ["cpu", "1", "0"]]
    ranges = [
        (int(node), int(start), int(end))
        for word, node, *rest in lines
        if word == "range"
        for start, end in [rest]
    ]
    assert ranges == [(0, 0, 2 << 30), (0, 4 << 30, (4 << 30) + (512 << 20)), (1, 4608 << 20, 6656 << 20)]


def test_on_two_sockets_each_ones_own_memory_is_local() -> None:
    lines = configured("two-socket", topology.find("two-socket"))
    latency = {(line[1], line[2]): int(line[3]) for line in lines if line[0] == "link"}
    assert latency == {("0", "0"): 90000, ("0", "1"): 140000, ("1", "0"): 140000, ("1", "1"): 90000}


@pytest.mark.parametrize(
    ("sizes", "ranges"),
    (
        ([1024, 1024], [(0, 0, 1 << 30), (1, 1 << 30, 2 << 30)]),
        ([2048, 700], [(0, 0, 2048 << 20), (1, 2048 << 20, 2748 << 20)]),
        ([1024, 3072], [(0, 0, 1 << 30), (1, 1 << 30, 2 << 30), (1, 4 << 30, 6 << 30)]),
    ),
)
def test_the_hole_below_four_gibibytes(sizes: list[int], ranges: list[tuple[int, int, int]]) -> None:
    assert topology.find("two-tier").resized(sizes).physical() == ranges


def test_memory_that_is_plugged_in_is_not_modelled() -> None:
    with pytest.raises(InputError, match="plugs memory in"):
        topology.find("module").physical()


def test_a_seed_fits_into_qemus() -> None:
    with pytest.raises(InputError, match="no seed"):
        plugin.arguments(Path("/x"), Path("/y"), 1 << 32)
    assert "file=/a,,b/model.so,config=/y" in plugin.arguments(Path("/a,b"), Path("/y"), 7)
