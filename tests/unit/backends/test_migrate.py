# SPDX-License-Identifier: Apache-2.0
"""Steering: the policy's nodes, and a container's cpuset, with plain files in place of its cgroup."""

from pathlib import Path
from types import SimpleNamespace

import hosts
import pytest

from ocihook import host
from ocihook.backends import cpus, migrate, policy
from ocihook.backends.migrate import steering
from ocihook.cgroup import cpuset
from ocihook.cgroup.path import Cgroup
from ocihook.config import Config
from ocihook.errors import HostError
from ocihook.spec.state import State
from ocihook.state import user
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

TIERS = Tiers((0,), (1,))
CONFIG = Config(far_nodes=(1,))
PID = 7


def meant(mask: int, allowed: list[int]) -> set[int]:
    """The nodes of a relative policy while *allowed* nodes are allowed, as mm/mempolicy.c computes them."""
    return {sorted(allowed)[bit % len(allowed)] for bit in range(64) if mask >> bit & 1}


@pytest.mark.parametrize(
    ("allowed", "far"),
    [
        ([0, 1], [1]),
        ([0, 1], [0]),
        ([0, 1, 2], [1, 2]),
        ([0, 1, 2], [2]),
        ([0, 1, 2, 3], [2, 3]),
        ([0, 4], [4]),
    ],
)
def test_the_policy_means_far_nodes_away_and_all_local_ones_at_home(
    allowed: list[int], far: list[int]
) -> None:
    mask = steering.mask(allowed, far)
    assert mask is not None
    assert meant(mask, allowed) == set(far)
    assert meant(mask, [node for node in allowed if node not in far]) == set(allowed) - set(far)


@pytest.mark.parametrize(
    ("allowed", "far"), [([0, 1, 2, 3], [1, 3]), ([0], [1]), ([1], [1]), ([0, 1], [0, 1]), ([], [])]
)
def test_where_no_policy_can_mean_that(allowed: list[int], far: list[int]) -> None:
    assert steering.mask(allowed, far) is None


class Place:
    """A container's cgroup below system.slice, and its process."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mount = root / "cgroup"
        self.dir = self.mount / "system.slice/web.scope"
        self.dir.mkdir(parents=True)
        for where in (self.mount, self.dir.parent):
            (where / "cgroup.subtree_control").write_text("memory pids\n")
        for name, text in (
            ("mems", "\n"),
            ("cpus", "\n"),
            ("mems.effective", "0-1\n"),
            ("cpus.effective", "0-3\n"),
        ):
            (self.dir / f"cpuset.{name}").write_text(text)
        self.pin = self.dir.parent / f"bede.cpuset-{self.dir.stat().st_ino}"
        self.pin.mkdir()
        (self.pin / "cgroup.subtree_control").write_text("\n")  # in a real cgroup mkdir makes this file
        self.proc = root / "proc"
        for tid in (PID, PID + 1):
            (self.proc / f"{PID}/task/{tid}").mkdir(parents=True)
        self.policy("default")
        self.injected: list[tuple[int, int]] = []
        hosts.redirect(monkeypatch, root)
        monkeypatch.setattr(cpus, "cpus_off_far_nodes", lambda _: "0-1")
        native = SimpleNamespace(
            DEFAULT_POLICY=0,
            STEERING_POLICY=1,
            inject_policy=lambda tid, mode, mask, _: self.injected.append((tid, mode * mask)),
        )
        monkeypatch.setattr(policy, "load_native", lambda: native)

    def policy(self, text: str) -> None:
        (self.proc / f"{PID}/numa_maps").write_text(f"00400000 {text} file=/bin/sh mapped=1 N0=1\n")

    def read(self, name: str) -> str:
        return (self.dir / f"cpuset.{name}").read_text().strip()

    def steer(self, status: str = "created", given: dict[str, str] | None = None) -> dict[str, str]:
        given = {} if given is None else given
        cgroup = Cgroup(str(self.mount), "/system.slice/web.scope", _open(self.dir))
        with cgroup:
            steering.steer(cgroup, State("web", PID, "/b", status, None), TIERS, given)
        return given


def _open(path: Path) -> int:
    import os

    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_what_has_not_begun_gets_the_policy(place: Place) -> None:
    mask = steering.mask([0, 1], [1])
    given = place.steer()
    assert given == {"cpus": "0-3", "near": "0-1", "home": "0", "away": "0-1", "mask": str(mask)}
    assert place.injected == [(PID, mask), (PID + 1, mask)]
    assert (place.read("mems"), place.read("cpus")) == ("0", "0-1")
    for where in (place.mount, place.dir.parent, place.pin):
        assert (where / "cgroup.subtree_control").read_text().startswith("+cpuset")


def test_what_has_it_from_the_wrapper_is_not_touched(place: Place) -> None:
    place.policy("interleave=relative:1")
    assert place.steer("running")["home"] == "0"
    assert place.injected == []


def test_another_policy_of_that_kind_is_not_ours(place: Place) -> None:
    place.policy("interleave=relative:0-1")
    place.steer()
    assert len(place.injected) == 2


def test_what_runs_already_is_left_alone(place: Place) -> None:
    given: dict[str, str] = {}
    with pytest.raises(HostError, match="it runs already"):
        place.steer("running", given)
    assert given == {"cpus": "0-3", "near": "0-1"}
    assert place.read("mems") == ""


def test_nodes_that_its_user_has_chosen_stay(place: Place) -> None:
    (place.dir / "cpuset.mems").write_text("0-1\n")
    (place.dir / "cpuset.cpus").write_text("3\n")
    assert place.steer() == {}
    assert (place.read("mems"), place.read("cpus")) == ("0-1", "3")
    assert place.injected == []


def test_a_host_without_the_controller_moves_only(place: Place) -> None:
    (place.dir / "cpuset.mems").unlink()
    with pytest.raises(HostError, match="cpuset cannot be used"):
        place.steer()


def test_what_was_taken_is_given_back(place: Place) -> None:
    given = place.steer()
    fd = _open(place.dir)
    steering.release(fd, given)
    assert (place.read("mems"), place.read("cpus")) == ("0-1", "0-3")


def test_what_others_have_written_meanwhile_stays(place: Place) -> None:
    given = place.steer()
    (place.dir / "cpuset.mems").write_text("1\n")
    (place.dir / "cpuset.cpus").write_text("2\n")
    steering.release(_open(place.dir), given)
    assert (place.read("mems"), place.read("cpus")) == ("1", "2")


def test_a_container_that_is_not_steered_does_not_keep_the_policy(place: Place) -> None:
    state = State("web", PID, "/b", "created", None)
    steering.unsteer(state)
    assert place.injected == []
    place.policy("interleave=relative:1")
    steering.unsteer(State("web", PID, "/b", "running", None))
    assert place.injected == []
    steering.unsteer(state)
    assert place.injected == [(PID, 0), (PID + 1, 0)]


def test_a_policy_is_of_the_nodes_there_were(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    given = place.steer()
    monkeypatch.setattr(nodes, "with_memory", lambda: (0, 1))
    assert steering.is_valid(given)
    monkeypatch.setattr(nodes, "with_memory", lambda: (0,))
    assert not steering.is_valid(given)
    assert not steering.is_valid({"cpus": "0-3", "near": "0-1"})


def test_pages_are_moved_where_its_cpuset_lets_them(place: Place) -> None:
    tiers = Tiers((0,), (1, 2))
    found = steering.allowed(_open(place.dir), {}, tiers)
    assert (found.local, found.far) == ((0,), (1,))


def test_the_controller_is_let_go_with_its_container(place: Place) -> None:
    (place.pin / "cgroup.subtree_control").unlink()  # in a real cgroup rmdir removes this file
    inode = place.dir.stat().st_ino
    cpuset.unpin("/system.slice/web.scope", inode + 1, str(place.mount))
    cpuset.unpin("/machine.slice/x/container", inode, str(place.mount))
    assert place.pin.exists()
    cpuset.unpin("/system.slice/web.scope", inode, str(place.mount))
    assert not place.pin.exists()


def test_a_users_own_containers_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(user, "choose", lambda: True)
    with pytest.raises(HostError, match="user's own containers"):
        migrate.check(CONFIG, _open(tmp_path))


def test_the_wrapper_steers_only_what_may_use_all_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "with_memory", lambda: (0, 1))
    assert steering.host_mask(CONFIG, "") == steering.mask([0, 1], [1])
    assert steering.host_mask(CONFIG, "0-1") is None


@pytest.mark.parametrize(
    ("online", "beside", "near"),
    [("0-3", "2-3", "0-1"), ("0-3", "", ""), ("0-1", "0-1", ""), ("0,2-5", "3,5", "0,2,4")],
)
def test_processors_that_are_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, online: str, beside: str, near: str
) -> None:
    (tmp_path / "node1").mkdir()
    (tmp_path / "node1/cpulist").write_text(beside + "\n")
    hosts.redirect(monkeypatch, tmp_path, node=tmp_path)
    hosts.put(tmp_path, host.CPUS_ONLINE, online + "\n")
    assert cpus.cpus_off_far_nodes(TIERS) == near
