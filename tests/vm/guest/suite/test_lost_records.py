# SPDX-License-Identifier: Apache-2.0
"""Records that are lost or damaged while a container runs: its fence never strangles it."""

import json
import os
import subprocess
from pathlib import Path

import helpers
import pytest
from held import BOUND, DEMAND, SIZE, adopted, fenced, holds
from helpers import RECORDS, Container, nothing_left, records, run, wait_until
from on import STOCK, on, rarely

pytestmark = [on(STOCK, clock="counted"), pytest.mark.usefixtures("unbalanced")]

UNITS = ("bede-agent.socket", "bede-agent.service")
MARK = "security.bede"


def changed(name, value):
    """The text of a record, with one field changed."""
    return lambda text: json.dumps({**json.loads(text), name: value})


#: ways to damage a record: functions from its text to another one; None: the record is lost
SPOILED = {
    "empty": lambda text: "",
    "truncated": lambda text: text[: len(text) // 2],
    "garbage": lambda text: "\0\xff" * 50,
    "list": lambda text: "[]",
    "wrong-type": changed("bound", "16M"),
    "of-nothing": changed("bound", 0),
    "half-a-cpuset": changed("cpuset", {"home": "0"}),
    "unknown-version": changed("version", 99),
    "lost": None,
}
USUAL = ("truncated", "unknown-version", "lost")


def without_agent(act):
    """Kill the agent, do *act*, and start the next agent."""
    subprocess.run(["systemctl", "kill", "-s", "KILL", UNITS[1]], check=True)
    subprocess.run(["systemctl", "stop", *UNITS], check=True, stderr=subprocess.DEVNULL)
    act()
    subprocess.run(["systemctl", "reset-failed", *UNITS], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["systemctl", "start", *UNITS], check=True)


def spoil(how):
    """Damage the only record in the way *how*."""
    (path,) = RECORDS.glob("*.json")
    act = SPOILED[how]
    if act is None:
        path.unlink()
    else:
        path.write_text(act(path.read_text()), encoding="latin-1")


def outlives(runtime, how):
    """Check that a bound is held again after its record was damaged while there was no agent."""
    with Container(runtime, "spoiled", SIZE, DEMAND) as container:
        container.fill()
        (before,) = records()
        without_agent(lambda: spoil(how))
        adopted()
        assert records() == [before]
        holds(container)
        fenced(container)
        assert container.stop()[0] == 7
    nothing_left(container.cgroup)


@pytest.mark.parametrize("how", (*USUAL, *rarely(*(one for one in SPOILED if one not in USUAL))))
def test_a_bound_outlives_its_record(how, agent):
    outlives("podman-crun", how)


@pytest.mark.parametrize("runtime", ("docker", *rarely("runc")))
def test_a_bound_of_any_runtime_outlives_its_record(runtime, agent):
    outlives(runtime, "truncated")


@pytest.mark.parametrize(
    "mark", [None, b"{", b'{"version": 99, "user_high": 268435456}'], ids=("none", "garbage", "version")
)
def test_what_nothing_tells_of_is_given_back(mark, agent):
    with Container("crun", "spoiled", SIZE, DEMAND) as container:
        container.fill()
        assert container.read("memory.high") != "max"

        def lose():
            spoil("garbage")
            os.removexattr(container.cgroup, MARK)
            if mark is not None:
                os.setxattr(container.cgroup, MARK, mark)

        without_agent(lose)
        own = "268435456" if mark and b"user_high" in mark else "max"
        wait_until("it is given back", lambda: container.read("memory.high") == own)
        assert container.read("memory.swap.max") == "max"
        container.go_on(2)
        assert container.read("memory.high") == own
        assert records() == []
        assert container.stop()[0] == 7
    nothing_left(container.cgroup)


def test_a_record_is_written_again_while_an_agent_holds_it(agent):
    with Container("crun", "spoiled", SIZE, DEMAND) as container:
        container.fill()
        (before,) = records()
        (path,) = RECORDS.glob("*.json")
        path.write_text("{")
        (RECORDS / "other").touch()  # a change of the directory, so that the agent looks
        (RECORDS / "other").unlink()
        wait_until("it is written again", lambda: path.read_text() != "{")
        assert records() == [before]
        holds(container)
        fenced(container)
        assert container.stop()[0] == 7
    nothing_left(container.cgroup)


def test_a_configuration_with_a_mistake_leaves_no_fence_alone(agent):
    config = Path("/etc/bede/config.yaml")
    with Container("crun", "spoiled", SIZE, DEMAND) as container:
        container.fill()
        config.parent.mkdir(exist_ok=True)
        without_agent(lambda: config.write_text("far_nodes [1]\n"))
        try:
            adopted()
            holds(container)
            fenced(container)
            assert container.stop()[0] == 7
        finally:
            config.unlink()
    nothing_left(container.cgroup)


def test_all_are_let_go_by_what_the_kernel_keeps(agent):
    with Container("crun", "spoiled", SIZE, DEMAND) as container:
        container.fill()
        subprocess.run(["systemctl", "stop", *UNITS], check=True, stderr=subprocess.DEVNULL)
        spoil("garbage")
        done = run("bede", "agent", "--release-all")
        assert done.returncode == 0, done.stderr
        assert container.read("memory.high") == container.read("memory.swap.max") == "max"
        assert records() == []
        subprocess.run(["systemctl", "start", *UNITS], check=True)
        assert helpers.listed() == {}
        container.go_on()
        assert container.read("memory.high") == "max"
        assert container.sample()[0] > BOUND or container.sample()[1] > 0
        assert container.stop()[0] == 7
    nothing_left(container.cgroup)
