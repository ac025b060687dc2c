# SPDX-License-Identifier: Apache-2.0
"""Which processes are brought back and where to, and which are left alone."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from world import HOST, Process, World

from ocihook.config import Config
from ocihook.follow import family
from ocihook.follow.family import Families
from ocihook.follow.follower import Follower
from ocihook.journal import Reporter
from ocihook.native import Event

OWN = {"pid": 10, "cgroup": 20, "mnt": 30}
HOME = "/pod/web"


class Host:
    """A follower in a world with one container, whose first process is 100 in HOME."""

    def __init__(
        self, world: World, ns: dict[str, int] = OWN, exempt: tuple[str, ...] = (), parent: int = 1
    ) -> None:
        self.world = world
        self.due: list[Callable[[], object]] = []
        self.families = Families()
        settings = Config(exempt_cgroups=exempt)
        self.follower = Follower(
            self.families, Reporter(), settings, lambda seconds, call: self.due.append(call)
        )
        self.follower.discovery.possible = False
        world.processes[100] = Process(HOME, dict(ns), parent=parent, first=ns["pid"] != HOST["pid"])
        self.family = world.family("web", 100)
        self.families.add(self.family)

    def born(
        self, pid: int, cgroup: str, parent: int = 100, ns: dict[str, int] | None = None, parent_now: int = 0
    ) -> str:
        """Let the follower handle that *parent* forked *pid*. Return the cgroup of *pid* afterwards.

        *parent_now*: the parent of *pid* when the follower looks, if that is another by then.
        """
        process = Process(cgroup, dict(ns or self.world.processes[parent].ns), parent=parent_now or parent)
        self.world.put(pid, process)
        self.follower.handle([Event("fork", pid, parent, time.monotonic_ns())])
        return process.cgroup


def test_a_child_born_outside_comes_back(world: World) -> None:
    host = Host(world)
    assert host.born(101, "/elsewhere") == HOME
    seen = host.family.outside()
    assert (seen.returned, seen.failed, seen.bytes) == (1, 0, 4096)


def test_what_is_inside_stays_where_it_is(world: World) -> None:
    host = Host(world)
    assert host.born(101, HOME + "/own/deep") == HOME + "/own/deep"
    assert host.family.returned == 0


def test_it_goes_where_its_parent_is(world: World) -> None:
    host = Host(world)
    host.born(101, HOME + "/service")
    assert host.born(102, "/elsewhere", parent=101) == HOME + "/service"


def test_a_home_that_takes_no_process(world: World) -> None:
    host = Host(world)
    world.put(100, Process(HOME + "/init", dict(OWN), first=True))
    world.full = {HOME}
    assert host.born(101, "/elsewhere", parent=1, ns=OWN, parent_now=100) == HOME + "/init"


def test_a_home_that_takes_none_and_nobody_is_in(world: World) -> None:
    host = Host(world)
    leaf = world.open(HOME + "/some/leaf")
    assert leaf is not None
    leaf.close()
    world.full = {HOME, HOME + "/some"}
    assert host.born(101, "/elsewhere") == HOME + "/some/leaf"


def test_what_cannot_be_put_back_is_said_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    host = Host(world)
    world.full = {HOME}
    assert host.born(101, "/elsewhere") == "/elsewhere"
    host.born(102, "/elsewhere")
    assert host.family.failed == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "container web" in line
    assert "cannot be put back: Device or resource busy" in line


def test_a_stranger_is_left_alone(world: World) -> None:
    host = Host(world)
    assert host.born(101, "/elsewhere", parent=1) == "/elsewhere"
    other = {"pid": 11, "cgroup": 21, "mnt": 31}
    assert host.born(102, "/elsewhere", parent=1, ns=other) == "/elsewhere"


def test_namespaces_below_its_own_are_its_own(world: World) -> None:
    host = Host(world)
    world.outer[12] = [11, 10, 1]
    assert host.born(101, "/elsewhere", ns={"pid": 12, "cgroup": 22, "mnt": 32}) == HOME


def test_another_container_that_shares_its_pid_namespace_is_a_guest(world: World) -> None:
    host = Host(world)
    guest = {"pid": OWN["pid"], "cgroup": 21, "mnt": 31}
    assert host.born(101, "/pod/other", parent=1, ns=guest) == "/pod/other"
    # With the container's mount namespace it is a child that has made a cgroup namespace for itself.
    assert host.born(102, "/elsewhere", ns={**guest, "mnt": OWN["mnt"]}) == HOME


def test_what_enters_from_outside_is_given_time(world: World) -> None:
    host = Host(world)
    assert host.born(101, "/runtime", parent=1, ns=OWN) == "/runtime"
    assert host.born(102, "/runtime", parent=1, ns=OWN) == "/runtime"
    world.processes[102].cgroup = HOME  # its runtime has put it into its cgroup
    first, second = host.due
    first()
    second()
    assert world.processes[101].cgroup == HOME
    assert host.family.returned == 1


def test_without_a_pid_namespace_the_cgroup_namespace_tells(world: World) -> None:
    host = Host(world, {**HOST, "cgroup": 20})
    assert host.born(101, "/elsewhere", parent=1, ns={**HOST, "cgroup": 20}, parent_now=100) == HOME


def test_without_any_the_lineage_tells(world: World) -> None:
    host = Host(world, dict(HOST))
    # A daemon: its parent has ended, and was never seen outside of the cgroup.
    host.born(101, HOME)
    del world.processes[101]
    world.processes[102] = Process("/elsewhere", dict(HOST), parent=100)
    host.follower.handle([Event("fork", 102, 101, 1)])
    assert world.processes[102].cgroup == HOME


def test_what_one_that_has_ended_has_forked_may_be_heard_of_late(world: World) -> None:
    host = Host(world, dict(HOST))
    host.born(101, HOME)
    del world.processes[101]
    host.follower.rescan()
    ended = host.families.ended
    world.processes[102] = Process("/elsewhere", dict(HOST), parent=100)
    host.follower.handle([Event("fork", 102, 101, 1)])
    assert world.processes[102].cgroup == HOME
    host.families.forget(ended)
    assert 101 not in host.families._lineage
    assert 102 in host.families._lineage


def test_an_orphan_that_nobody_heard_of_is_known_by_its_files(world: World) -> None:
    host = Host(world, {**HOST, "mnt": 30})
    world.put(101, Process("/elsewhere", {**HOST, "mnt": 30}))
    world.put(102, Process("/elsewhere", {**HOST, "mnt": 31}))
    host.follower.rescan()
    (enters,) = host.due
    enters()
    assert (world.processes[101].cgroup, world.processes[102].cgroup) == (HOME, "/elsewhere")


@pytest.mark.parametrize("whose", [1, 50, 60])
def test_the_files_of_others_are_no_sign(world: World, whose: int) -> None:
    """The mount namespace of the host, or of the runtime's unit, is no sign, nor is that of an orphan."""
    world.put(50, Process("/runtime", {**HOST, "mnt": 30}))
    world.put(101, Process("/elsewhere", dict(world.processes.get(whose, world.processes[50]).ns)))
    host = Host(world, dict(world.processes[101].ns), parent=whose)
    host.follower.rescan()
    assert not host.due
    assert world.processes[101].cgroup == "/elsewhere"


def test_a_number_that_is_used_again_is_another_process(world: World) -> None:
    host = Host(world, dict(HOST))
    host.born(101, HOME)
    assert host.born(101, "/elsewhere", parent=1) == "/elsewhere"
    assert host.families.of(101) is None


def test_a_number_whose_reuse_nobody_told_of_is_a_strangers(world: World) -> None:
    host = Host(world, dict(HOST))
    host.born(101, HOME)
    # The process ended, and the event of the fork that used its pid again was lost.
    world.put(101, Process("/elsewhere", dict(HOST), parent=1, start=8))
    host.follower.rescan()
    assert world.processes[101].cgroup == "/elsewhere"


def test_those_that_have_ended_are_not_kept_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "_PRUNE", 10)
    host = Host(world, dict(HOST))
    for pid in range(200, 300):
        ended = host.families.ended
        host.born(pid, HOME)
        del world.processes[pid]
        host.families.forget(ended)
    assert len(host.families._lineage) <= 22


def test_a_namespace_below_a_guests_is_the_guests(world: World) -> None:
    host = Host(world)
    guest = {"pid": OWN["pid"], "cgroup": 21, "mnt": 31}
    world.put(200, Process("/pod/other", dict(guest), parent=1))
    world.outer[12] = [OWN["pid"], HOST["pid"]]
    assert host.born(201, "/pod/other", parent=200, ns={"pid": 12, "cgroup": 21, "mnt": 32}) == "/pod/other"


def test_a_cgroup_namespace_is_no_sign_where_there_is_a_better_one(world: World) -> None:
    host = Host(world)
    shares = {"pid": 11, "cgroup": OWN["cgroup"], "mnt": 31}
    assert host.born(101, "/pod/other", parent=1, ns=shares) == "/pod/other"


def test_a_bound_guest_has_its_own_children(world: World) -> None:
    host = Host(world)
    guest = {"pid": OWN["pid"], "cgroup": 21, "mnt": 31}
    world.put(200, Process("/pod/other", dict(guest), parent=1))
    host.families.add(world.family("other", 200))
    assert host.born(201, "/elsewhere", parent=200) == "/pod/other"


def test_a_rescan_finds_who_left_unseen(world: World) -> None:
    host = Host(world, dict(HOST))
    world.processes[101] = Process(HOME, dict(HOST), parent=100)
    world.processes[102] = Process("/elsewhere", dict(HOST), parent=101)
    world.processes[103] = Process("/elsewhere", dict(HOST), parent=1)
    host.follower.rescan()
    assert world.processes[102].cgroup == HOME
    assert world.processes[103].cgroup == "/elsewhere"


def test_a_moved_process_comes_back_unless_it_may_go(world: World) -> None:
    host = Host(world, exempt=("/debug", "/other/"))
    for pid, cgroup, after in (
        (101, "/debug", "/debug"),
        (102, "/debug/below", "/debug/below"),
        (103, "/debugging", HOME),
        (104, "/other", "/other"),
    ):
        world.processes[pid] = Process(cgroup, dict(OWN), parent=100)
        host.follower.handle([Event("move", pid, 0, 1)])
        assert world.processes[pid].cgroup == after


def test_everything_may_go(world: World) -> None:
    host = Host(world, exempt=("/",))
    assert host.born(101, "/elsewhere") == "/elsewhere"


def test_a_stranger_that_got_the_number_is_taken_back(world: World) -> None:
    host = Host(world)
    world.processes[101] = Process("/elsewhere", dict(OWN), parent=100)
    world.processes[50] = Process("/users")
    world.dead_after_write = True
    write = world.write

    def reused(name: str, text: str, *, dir_fd: int) -> None:
        write(name, text, dir_fd=dir_fd)
        if not host.due:
            host.due.append(lambda: None)
            # The process has ended. Its pid now belongs to a child of 50, which the write has moved.
            world.processes[101].ns, world.processes[101].parent = dict(HOST), 50

    pytest.MonkeyPatch().setattr("ocihook.follow.follower.fs.write", reused)
    host.follower.check(101)
    assert world.processes[101].cgroup == "/users"
    assert host.family.returned == 0


def test_a_family_that_is_gone_is_forgotten(world: World) -> None:
    host = Host(world, {**HOST, "cgroup": 20})
    host.families.remove(HOME)
    assert len(host.families) == 0
    assert host.born(101, "/elsewhere") == "/elsewhere"
    host.families.remove(HOME)
