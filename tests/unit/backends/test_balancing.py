# SPDX-License-Identifier: Apache-2.0
"""Who is kept out of NUMA balancing, on hosts made of plain files."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import hosts
import pytest

from ocihook.backends import balancing, policy
from ocihook.backends.backend import BindRequest
from ocihook.config import Config
from ocihook.spec.annotation import Policy
from ocihook.spec.state import State
from ocihook.state import user
from ocihook.topology.nodes import Tiers

PID = 4242
DAMON = "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds"
NONE = Config(promotion="none")
TIERS = Tiers((0,), (1,))


class Host:
    """A host with CPUs on some nodes, and one process."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.injected: list[tuple[int, str]] = []
        self.warned: list[str] = []
        (root / "node").mkdir()
        (root / f"proc/{PID}/task/{PID}").mkdir(parents=True)
        self.cpus("0")
        self.shows("default")
        hosts.redirect(monkeypatch, root)
        hosts.put(root, DAMON, "0")
        native = SimpleNamespace(DEFAULT_POLICY="default", LOCAL_POLICY="local", inject_policy=self._inject)
        monkeypatch.setattr(policy, "load_native", lambda: native)

    def cpus(self, nodes: str) -> None:
        (self.root / "node/has_cpu").write_text(nodes + "\n")

    def shows(self, *policies: str) -> None:
        lines = [f"{i}000 {name} anon=1 N0=1\n" for i, name in enumerate(policies, 1)]
        (self.root / f"proc/{PID}/numa_maps").write_text("".join(lines))

    def _inject(self, tid: int, mode: str, mask: int, tries: int) -> None:
        assert mask == 0
        self.injected.append((tid, mode))
        self.shows(mode)

    def keep_out(self, config: Config = NONE, status: str = "created") -> dict[str, str]:
        given: dict[str, str] = {}
        state = State("web", PID, "/b", status, None)
        request = BindRequest(state, 1, {}, Policy(None, {}, {}), config, None, "", self.warned.append)
        balancing.keep_out(request, TIERS, given)
        return given


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_a_waiting_process_gets_the_policy(host: Host) -> None:
    assert host.keep_out() == {balancing.KEPT_OUT: "0"}
    assert host.injected == [(PID, "local")]


def test_one_that_has_it_from_the_wrapper_keeps_it(host: Host) -> None:
    host.shows("local", "local")
    assert host.keep_out(status="running") == {balancing.KEPT_OUT: "0"}
    assert host.injected == []


@pytest.mark.parametrize("shown", [("bind:0",), ("default", "interleave:0-1"), ("prefer:1",)])
def test_a_policy_of_its_own_stays(host: Host, shown: tuple[str, ...]) -> None:
    host.shows(*shown)
    assert host.keep_out() == {}
    assert host.injected == []


def test_what_runs_already_is_left_alone(host: Host) -> None:
    assert host.keep_out(status="running") == {}
    assert host.injected == []


def test_by_default_it_is_kept_out_since_the_agent_promotes(host: Host) -> None:
    assert host.keep_out(Config()) == {balancing.KEPT_OUT: "0"}


def test_nobody_is_kept_out_where_balancing_shall_promote(host: Host) -> None:
    assert host.keep_out(Config(promotion="balancing")) == {}
    assert host.injected == []


def test_a_users_agent_may_not_promote(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """So NUMA balancing has to, for a rootless container; unless nobody shall."""
    monkeypatch.setattr(user, "uid_outside", lambda: 1000)
    assert not balancing.is_wanted(Config(), TIERS)
    assert balancing.is_wanted(NONE, TIERS)


def test_no_agent_promotes_where_the_kernel_cannot_tell_what_is_hot(host: Host) -> None:
    shutil.rmtree((host.root / DAMON[1:]).parent)
    assert not balancing.is_wanted(Config(), TIERS)
    assert balancing.is_wanted(NONE, TIERS)


@pytest.mark.parametrize(("cpus", "wanted"), [("0", True), ("0-1", True), ("1", False)])
def test_a_single_local_node_has_cpus(host: Host, cpus: str, wanted: bool) -> None:
    """CPUs on the far node do not count: containers of two sockets are steered, or kept off them."""
    host.cpus(cpus)
    assert balancing.is_wanted(NONE, TIERS) is wanted
    assert balancing.is_wanted(Config(), TIERS) is wanted
    assert not balancing.is_wanted(Config(promotion="balancing"), TIERS)


def test_several_local_sockets_are_balanced(host: Host) -> None:
    host.cpus("0-1")
    assert not balancing.is_wanted(NONE, Tiers((0, 1), (2,)))


def test_a_process_that_is_gone_is_reported(host: Host) -> None:
    (host.root / f"proc/{PID}/numa_maps").unlink()
    assert host.keep_out() == {}
    assert "stays in NUMA balancing" in host.warned[0]


@pytest.mark.parametrize(
    ("status", "shown", "taken"),
    [("created", "local", True), ("running", "local", False), ("created", "bind:0", False)],
)
def test_what_is_not_bound_takes_part_again(host: Host, status: str, shown: str, taken: bool) -> None:
    host.shows(shown)
    balancing.let_in(State("web", PID, "/b", status, None))
    assert host.injected == ([(PID, "default")] if taken else [])
