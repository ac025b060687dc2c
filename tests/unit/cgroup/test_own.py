# SPDX-License-Identifier: Apache-2.0
"""Which processes share a container's cgroup, with directories in place of cgroups and processes."""

import os
from pathlib import Path

import hosts
import pytest

from ocihook.cgroup import own
from ocihook.cgroup.path import Cgroup
from ocihook.errors import HostError

RUNTIME, FIRST = 50, 7


class World:
    """A cgroup with a container's first process. Its runtime is process 50, whose hook is this process."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        (root / "cgroup/web").mkdir(parents=True)
        (root / "cgroup/web/cgroup.procs").touch()
        hosts.redirect(monkeypatch, root)
        self.inside: dict[int, str] = {}
        for pid, parent in ((1, 0), (40, 1), (RUNTIME, 40), (os.getpid(), RUNTIME)):
            self.born(pid, parent)
        self.born(FIRST, RUNTIME, "/web", "own")

    def born(self, pid: int, parent: int, where: str = "/session", pid_ns: str = "host") -> None:
        proc = self.root / f"proc/{pid}"
        (proc / "ns").mkdir(parents=True)
        (self.root / pid_ns).touch()
        (proc / "ns/pid").symlink_to(self.root / pid_ns)
        (proc / "status").write_text(f"Name:\tname{pid}\nPPid:\t{parent}\n")
        (proc / "cgroup").write_text(f"0::{where}\n")
        if where.startswith("/web"):
            self.put(pid, where)

    def put(self, pid: int, where: str = "/web") -> None:
        directory = self.root / f"cgroup{where}"
        directory.mkdir(exist_ok=True)
        with (directory / "cgroup.procs").open("a") as file:
            file.write(f"{pid}\n")

    def check(self, maker: int = RUNTIME) -> None:
        fd = os.open(self.root / "cgroup/web", os.O_RDONLY | os.O_DIRECTORY)
        with Cgroup(str(self.root / "cgroup"), "/web", fd) as cgroup:
            own.check(cgroup, FIRST, maker)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_its_first_process_alone(world: World) -> None:
    world.check()
    world.check(0)


def test_what_it_has_made_itself_belongs_to_it(world: World) -> None:
    world.born(8, FIRST, "/web", "own")
    world.born(9, 8, "/web/below", "host")
    world.born(10, 1, "/web/below", "own")  # a process whose parent has ended
    world.check(0)


def test_helpers_of_its_runtime_may_be_there(world: World) -> None:
    world.born(60, RUNTIME, "/web")
    world.born(61, 60, "/web")
    world.check()
    with pytest.raises(HostError, match=r"process 60 \(name60\)"):
        world.check(0)


@pytest.mark.parametrize("where", ["/web", "/web/below"])
@pytest.mark.parametrize("who", ["caller", "runtime", "hook", "stranger", "unseen"])
def test_anybody_else_is_a_stranger(world: World, who: str, where: str) -> None:
    world.born(70, 1)
    known = {"caller": 40, "runtime": RUNTIME, "hook": os.getpid(), "stranger": 70, "unseen": 0}
    world.put(known[who], where)
    with pytest.raises(HostError, match="no cgroup of its own") as caught:
        world.check()
    assert str(world.root / "cgroup/web") in caught.value.message


def test_another_container_of_the_hosts_pid_namespace(world: World) -> None:
    (world.root / f"proc/{FIRST}/ns/pid").unlink()
    (world.root / f"proc/{FIRST}/ns/pid").symlink_to(world.root / "host")
    world.born(70, 1, "/web")
    with pytest.raises(HostError, match="process 70"):
        world.check()


def test_who_has_ended_is_nobody(world: World) -> None:
    world.put(4000)
    world.check()


def test_a_runtime_that_has_ended_has_no_helpers(world: World) -> None:
    world.born(70, 1, "/web")
    with pytest.raises(HostError):
        world.check(1)


@pytest.mark.parametrize(
    ("events", "free"),
    [("populated 0\nfrozen 0\n", True), ("populated 1\nfrozen 0\n", False), (None, False)],
)
def test_a_cgroup_that_is_there_already(world: World, events: str | None, free: bool) -> None:
    if events is not None:
        (world.root / "cgroup/web/cgroup.events").write_text(events)
    assert own.is_free(str(world.root / "cgroup"), "/web") is free
    assert own.is_free(str(world.root / "cgroup"), "/web/../web") is False
    assert own.is_free(str(world.root / "cgroup"), "/new/one") is True
