# SPDX-License-Identifier: Apache-2.0
"""Text from the kernel: what it never writes raises a BedeError, or does what a function documents."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import seeds
from hypothesis import given
from hypothesis import strategies as st
from mutate import kernel

from ocihook import host, native
from ocihook.backends import checks
from ocihook.cgroup import memory, path, process, procfs
from ocihook.errors import BedeError, HostError
from ocihook.follow import moves
from ocihook.topology import nodes

PID = 7
MOST = 1 << 64


class World:
    """A directory in place of /proc, /sys and a cgroup."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / f"{PID}").mkdir()
        (root / "self").mkdir()
        (root / "node1").mkdir()
        (root / "self/mountinfo").write_text(f"31 23 0:27 / {root} rw - cgroup2 cgroup2 rw\n")
        (root / "memory.high").write_text("max\n")
        self.fd = os.open(root, os.O_RDONLY)

    def write(self, name: str, data: bytes) -> None:
        (self.root / name).write_bytes(data)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(host, "ROOT", str(tmp_path))
    for name in ("/proc", host.NODES, host.TIERS):
        link = tmp_path / name[1:]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path)
    made = World(tmp_path)
    yield made
    os.close(made.fd)


def check_stat(world: World, data: bytes) -> None:
    world.write(f"{PID}/stat", data)
    found = process.start_time(PID)
    assert found is None or 0 <= found < MOST
    assert process.is_same(PID, -1) is False


def check_cgroup(world: World, data: bytes) -> None:
    world.write(f"{PID}/cgroup", data)
    assert (procfs.cgroup_of(PID) or "/").startswith("/")
    with contextlib.suppress(BedeError), path.find(PID) as found:
        assert found.path.startswith("/")
        assert ".." not in found.path.split("/")


def check_mountinfo(world: World, data: bytes) -> None:
    world.write("self/mountinfo", data)
    world.write(f"{PID}/cgroup", b"0::/a\n")
    with contextlib.suppress(HostError):
        assert "\0" not in path.mount_point()
    with contextlib.suppress(BedeError), path.find(PID):
        pass


def check_list(world: World, data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    with contextlib.suppress(ValueError):
        found = nodes.parse_list(text)
        assert list(found) == sorted(set(found))
        assert nodes.parse_list(",".join(map(str, found))) == found
        assert len(found) <= 1024
    with contextlib.suppress(HostError):
        checks.require_far_node_in_cpuset(text, nodes.Tiers((0,), (1,)))
    world.write("has_memory", data)
    for far in ((), (1,)):
        with contextlib.suppress(HostError):
            tiers = nodes.find(far)
            assert not set(tiers.local) & set(tiers.far)


def check_numa_stat(world: World, data: bytes) -> None:
    """The hook's parser and the agent's agree, or refuse the text."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        lru, _ = native.parse_numa_stat(data)
    except OSError:
        lru = None
    try:
        local, far = memory.local_far(text, {0, 63}, {1})
    except HostError:
        return
    assert local >= 0 <= far
    if lru is not None:
        assert (local, far) == (lru.get(0, 0) + lru.get(63, 0), lru.get(1, 0))


def check_number(world: World, data: bytes) -> None:
    for name in ("memory.current", "memory.high", "memory.max"):
        world.write(name, data)
    for reader in (memory.usage, memory.high, memory.maximum):
        with contextlib.suppress(HostError):
            value = reader(world.fd)
            assert value is None or 0 <= value < MOST


def check_node_files(world: World, data: bytes) -> None:
    for name in ("memory.node_limit", "memory.node_current", "memory.node_events"):
        world.write(name, data)
    for reader in (memory.node_limits, memory.node_usage, memory.node_events):
        with contextlib.suppress(BedeError):
            assert isinstance(reader(world.fd), dict)


def check_meminfo(world: World, data: bytes) -> None:
    world.write("node1/meminfo", data)
    free, total = nodes.room((1,))
    assert free >= 0 <= total


def check_status(world: World, data: bytes) -> None:
    world.write(f"{PID}/status", data)
    assert procfs.parent_of(PID) >= 0
    assert procfs.is_first(PID) in (True, False)


def check_smaps(world: World, data: bytes) -> None:
    world.write(f"{PID}/smaps_rollup", data)
    assert procfs.private_bytes(PID) >= 0


def check_moves(world: World, data: bytes) -> None:
    found, _ = moves.parse(data)
    assert all(event.pid > 0 for event in found)
    assert len({event.pid for event in found}) == len(found)


CHECKS: dict[str, Callable[[World, bytes], None]] = {
    "proc_stat": check_stat,
    "proc_cgroup": check_cgroup,
    "mountinfo": check_mountinfo,
    "node_list": check_list,
    "numa_stat": check_numa_stat,
    "number": check_number,
    "node_limit": check_node_files,
    "node_events": check_node_files,
    "meminfo": check_meminfo,
    "proc_status": check_status,
    "smaps_rollup": check_smaps,
    "trace_pipe": check_moves,
}


@pytest.mark.parametrize(
    ("target", "file"), [(target, file.name) for target in CHECKS for file in seeds.files(target)]
)
def test_corpus(world: World, target: str, file: str) -> None:
    CHECKS[target](world, (seeds.CORPUS / target / file).read_bytes().replace(b"\0", b""))


@pytest.mark.parametrize("target", CHECKS)
@seeds.FUZZ
@given(data=st.data())
def test_text(world: World, target: str, data: st.DataObject) -> None:
    CHECKS[target](world, data.draw(kernel(target)))
