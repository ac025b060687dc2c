# SPDX-License-Identifier: Apache-2.0
"""The explanation of a container's bound, for mocks of containers."""

from pathlib import Path
from typing import Any

import hosts
import pytest

from ocihook import host
from ocihook.control.status import from_json
from ocihook.engines import names
from ocihook.errors import InputError
from ocihook.watch import containers, explain

M = 1 << 20
TIER: dict[str, Any] = {
    "id": "web",
    "key": "web-00000000",
    "name": "shop",
    "cgroup": "/web",
    "backend": "tier",
    "runtime": "crun",
    "asked": {"bede.local": "25%"},
    "created": 1.7e9,
    "user_high": None,
    "bound": 64 * M,
    "nodes": {},
    "local": 32 * M,
    "far": M,
    "overshoot": 0,
    "stalled": False,
}
WEB = from_json(TIER)
MOVED = {
    **TIER,
    "backend": "migrate",
    "steered": True,
    "away": False,
    "own": 0,
    "mover_us": 1_230_000,
    "demoted": 5 * M,
    "promoted": 2 * M,
}
LIMIT = {
    **TIER,
    "backend": "node_limit",
    "asked": None,
    "runtime": "",
    "created": None,
    "nodes": {"0": 64 * M},
}


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    mount = f"31 23 0:27 / {tmp_path}/cgroup rw - cgroup2 cgroup2 rw\n"
    (tmp_path / "proc/self/mountinfo").write_text(mount)
    where = tmp_path / "cgroup/web"
    where.mkdir(parents=True)
    for name, text in (
        ("memory.max", str(256 * M)),
        ("memory.high", str(70 * M)),
        ("memory.node_limit", f"N0={64 * M} N1=max"),
        ("cpuset.mems.effective", "0-1"),
        ("cpuset.mems", "0"),
    ):
        (where / name).write_text(text + "\n")
    hosts.redirect(monkeypatch, tmp_path)
    monkeypatch.setattr(names, "annotations_of", lambda id, where: None)
    return where


def told(one: dict[str, Any]) -> dict[str, str]:
    facts = explain.explain(from_json(one))
    assert len({fact.about for fact in facts}) == len(facts)
    return dict(facts)


def test_a_fence(cgroup: Path) -> None:
    facts = told(TIER)
    assert facts["asked"] == "bede.local=25%"
    assert facts["put in force"].startswith("by the createRuntime hook, run by crun, 2023-11-14")
    assert facts["in force"] == "64M of local memory"
    assert "70.0 MiB" in facts["held by"]
    assert facts["now"].startswith("local 32.0 MiB, 50.0 % of the bound; far 1.0 MiB")
    assert facts["beside it"] == "memory.max 256M, nodes allowed 0-1"
    assert "memory.node_limit = N0=67108864" in facts["elsewhere"]


def test_a_bound_that_was_changed(cgroup: Path) -> None:
    assert "64M was asked for" in told({**TIER, "bound": 16 * M})["in force"]
    (cgroup / "memory.max").write_text("max\n")
    assert told(TIER)["in force"] == "64M of local memory"


def test_what_counts_beside_it(cgroup: Path) -> None:
    facts = told({**TIER, "user_high": 80 * M, "stalled": True, "nodes": {"0": 8 * M}, "overshoot": M})
    assert "80M" in facts["memory.high"]
    assert "far memory is full" in facts["stalled"]
    assert "8M of it at most on node 0" in facts["in force"]
    assert "at most 1.0 MiB above" in facts["now"]


def test_a_limit_of_the_kernels(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = told(LIMIT)
    assert facts["asked"].startswith("not known")
    assert facts["held by"] == f"the kernel: memory.node_limit is N0={64 * M} N1=max"
    assert "not on these nodes" in facts["elsewhere"]
    monkeypatch.setattr(names, "annotations_of", lambda id, where: {"bede.local": "64M", "other": "x"})
    assert told(LIMIT)["asked"] == "bede.local=64M"


def test_steering_at_home_and_away(cgroup: Path) -> None:
    facts = told(MOVED)
    assert "allocates is local now (cpuset.mems 0), and goes far near the bound" in facts["held by"]
    assert "70.0 MiB" in facts["held by"]
    assert facts["moved"].startswith("5.0 MiB demoted and 2.0 MiB promoted in 1.23 s of processor time")
    assert "puts what is hot and far in place" in facts["promotion"]
    assert "memory.node_limit = N0=67108864" in facts["elsewhere"]
    assert "own" not in facts
    (cgroup / "cpuset.mems").write_text("0-1\n")
    (cgroup / "cpuset.cpus.effective").write_text("0-3\n")
    facts = told({**MOVED, "away": True})
    assert "allocates is far now (cpuset.mems 0-1)" in facts["held by"]
    assert facts["beside it"] == "memory.max 256M, nodes allowed 0-1, CPUs 0-3"


def test_how_good_the_placement_is(cgroup: Path) -> None:
    assert "placement" not in told(TIER)
    for one in (TIER, MOVED):
        words = told({**one, "hits_local": 0.58, "hits_best": 0.612})["placement"]
        assert words.startswith("58% of what is in use is local")
        assert "61%" in words


def test_what_is_not_steered_is_moved(cgroup: Path) -> None:
    hosts.put(cgroup.parents[1], host.BALANCING, "1\n")
    facts = told({**MOVED, "steered": False})
    assert "the fence, memory.high (now 70.0 MiB), and the agent, which moves its pages" in facts["held by"]
    assert "NUMA balancing promotes" in facts["promotion"]
    assert "NUMA balancing" not in told(MOVED)["promotion"]


def test_what_programs_place_is_theirs(cgroup: Path) -> None:
    facts = told({**MOVED, "local": 96 * M, "own": 90 * M, "stalled": True})
    assert facts["own"].startswith("90.0 MiB of it are where its programs asked for by a policy of their own")
    assert facts["stalled"].endswith("or where its programs want it")


def test_without_the_patches_two_sockets_are_held_by_moving(
    cgroup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain.config, "load", lambda: explain.config.Config(far_nodes=(1,)))
    assert "by steering and moving" in told(LIMIT)["elsewhere"]


def test_bede_run(cgroup: Path) -> None:
    facts = told({**TIER, "runtime": "bede run", "asked": {"bede.local": "64M"}})
    assert facts["asked"] == "bede run --local 64M"
    assert facts["put in force"].startswith("by bede run")


def test_one_that_has_ended(cgroup: Path) -> None:
    with pytest.raises(InputError, match="has ended"):
        explain.explain(from_json({**TIER, "cgroup": "/gone"}))


@pytest.mark.parametrize("name", ["web", "web-00000000", "/web", "shop", "we", "w"])
def test_a_container_is_found_by(name: str) -> None:
    other = {**TIER, "id": "xyz", "key": "xyz-0", "name": "webshop", "cgroup": "/xyz"}
    assert containers.find(name, [from_json(other), WEB]) is WEB


def test_a_name_goes_before_the_beginning_of_an_id() -> None:
    other = {**TIER, "id": "shopping", "key": "k", "name": "", "cgroup": "/k"}
    assert containers.find("shop", [from_json(other), WEB]) is WEB


@pytest.mark.parametrize("name", ["", "nobody", "hop", "/we"])
def test_nobody_is_found_by(name: str) -> None:
    with pytest.raises(InputError, match="no bound container is called"):
        containers.find(name, [WEB])


def test_two_of_one_name_are_told_apart_by_their_cgroups() -> None:
    other = {**TIER, "id": "abc", "key": "abc-0", "cgroup": "/abc"}
    with pytest.raises(InputError, match="more than one") as error:
        containers.find("shop", [WEB, from_json(other)])
    assert "/abc" in error.value.hint
