# SPDX-License-Identifier: Apache-2.0
"""What the agent logs about memory that comes and goes; the test sends the events by a socket."""

import errno
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import hosts
import pytest

from ocihook.agent import capacity
from ocihook.agent.capacity import Capacity, Watch
from ocihook.agent.registry import Registry
from ocihook.config import Config
from ocihook.follow.family import Families
from ocihook.state import records
from ocihook.topology.nodes import Tiers

MIB = 1 << 20
EVENT = b"offline@/devices/system/memory/memory9\0ACTION=offline\0SUBSYSTEM=memory\0SEQNUM=7\0"
OTHER = b"add@/devices/virtual/net/veth\0ACTION=add\0SUBSYSTEM=net\0INTERFACE=memory\0"
BEST = {0: 1024 * MIB, 1: 2048 * MIB, 2: 512 * MIB}


def host(far: tuple[int, ...], **sizes: int) -> Capacity:
    total = {int(name[1:]): size * MIB for name, size in sizes.items()}
    local = tuple(node for node in total if node not in far)
    return Capacity(total, Tiers(local, far) if far else None)


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (host((1,), n0=1024, n1=2048), host((1,), n0=1024, n1=2048), []),
        (
            host((1,), n0=1024, n1=2048),
            host((1,), n0=1024, n1=1536),
            ["node 1 has 1536 of 2048 MiB now (far)"],
        ),
        (host((1,), n0=1024, n1=1536), host((), n0=1024), ["node 1 is gone (far)"]),
        (host((), n0=1024), host((1,), n0=1024, n1=128), ["node 1 has come with 128 MiB (far)"]),
        (
            host((1, 2), n0=1024, n1=2048, n2=512),
            host((1,), n0=896, n1=2048),
            ["node 0 has 896 of 1024 MiB now (local)", "node 2 is gone (far)"],
        ),
        (
            host((1,), n0=1024, n1=2048),
            host((0,), n0=1024, n1=2048),
            ["node 0 is far now", "node 1 is local now"],
        ),
    ],
)
def test_what_is_said(before: Capacity, now: Capacity, words: list[str]) -> None:
    assert capacity.difference(before, now, BEST) == words


def test_what_it_means() -> None:
    far, none = host((1,), n0=1024, n1=2048), host((), n0=1024)
    assert capacity.consequence(far, 3, 3) == ""
    assert capacity.consequence(far, 0, 3) == "; containers held to their bounds: 3"
    assert capacity.consequence(none, 0, 0) == ""
    assert "; no far memory is left, containers without their bounds: 3" in capacity.consequence(none, 3, 0)


def test_events_of_other_things_are_none() -> None:
    assert capacity.is_of_memory(EVENT)
    assert capacity.is_of_memory(b"remove@/devices/system/node/node1\0SUBSYSTEM=node\0")
    assert not capacity.is_of_memory(OTHER)
    assert not capacity.is_of_memory(b"")


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    hosts.redirect(monkeypatch, tmp_path, node=tmp_path)
    monkeypatch.setattr(records, "RUN", str(tmp_path / "run"))
    (tmp_path / "has_memory").write_text("0-1")
    for node, rank, size in ((0, 4, 1024), (1, 33, 2048)):
        (tmp_path / f"tiers/memory_tier{rank}").mkdir(parents=True)
        (tmp_path / f"tiers/memory_tier{rank}/nodelist").write_text(str(node))
        resize(tmp_path, node, size)
    return tmp_path


def resize(sysfs: Path, node: int, size: int) -> None:
    (sysfs / f"node{node}").mkdir(exist_ok=True)
    (sysfs / f"node{node}/meminfo").write_text(f"Node {node} MemTotal: {size << 10} kB\n")


@pytest.fixture
def kernel(sysfs: Path) -> Iterator[tuple[Watch, socket.socket]]:
    watch = Watch(())
    watch.socket.close()
    watch.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    watch.socket.setblocking(False)
    with watch.socket, theirs:
        yield watch, theirs


def test_burst_of_events_is_one_line(
    kernel: tuple[Watch, socket.socket], sysfs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch, theirs = kernel
    registry = Registry(Config(), Families())
    theirs.send(OTHER)
    watch.take()
    assert watch.left() is None
    for size in (1920, 1792, 1664):
        resize(sysfs, 1, size)
        theirs.send(EVENT)
        watch.take()
        watch.settle(registry)
    left = watch.left()
    assert left is not None
    assert 0 < left <= capacity.QUIET
    assert capsys.readouterr().err == ""
    watch.last -= capacity.QUIET
    watch.settle(registry)
    assert capsys.readouterr().err == "bede agent: node 1 has 1664 of 2048 MiB now (far)\n"
    watch.settle(registry)
    assert capsys.readouterr().err == ""
    assert not registry.nowhere


def test_burst_that_does_not_end_is_told_of_all_the_same(
    kernel: tuple[Watch, socket.socket], sysfs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch, _ = kernel
    resize(sysfs, 1, 128)
    watch.last = time.monotonic()
    watch.first = watch.last - capacity.LONGEST
    watch.settle(Registry(Config(), Families()))
    assert "node 1 has 128 of 2048 MiB" in capsys.readouterr().err


def test_last_far_node_goes(
    kernel: tuple[Watch, socket.socket], sysfs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch, theirs = kernel
    registry = Registry(Config(), Families())
    (sysfs / "has_memory").write_text("0")
    (sysfs / "tiers/memory_tier33/nodelist").write_text("")
    theirs.send(EVENT)
    watch.take()
    watch.last -= capacity.QUIET
    watch.settle(registry)
    assert capsys.readouterr().err == "bede agent: node 1 is gone (far)\n"
    assert registry.nowhere


class Overrun:
    """A socket that lost events because its buffer was too small."""

    def __init__(self) -> None:
        self.answers = [OSError(errno.ENOBUFS, ""), BlockingIOError()]

    def recv(self, _: int) -> bytes:
        raise self.answers.pop(0)


def test_events_that_were_lost_may_have_been_of_memory(kernel: tuple[Watch, socket.socket]) -> None:
    watch, _ = kernel
    ours, watch.socket = watch.socket, Overrun()  # type: ignore[assignment]
    watch.take()
    watch.socket = ours
    assert watch.left() is not None
