# SPDX-License-Identifier: Apache-2.0
"""A bound without a lower tier, on a stock kernel: steering, moving, and program-bound memory."""

import json
import os
import signal
import subprocess
import time

import audit
import helpers
import pytest
from helpers import MIB, Container, agent_pid, listed, numa_maps, records, slack, wait_until
from on import STOCK, on, rarely
from sampling import Sampling
from sockets import BOUND, UNUSED, also, mems, own, placing, resources, settled

pytestmark = [on(STOCK, "two-socket", first="debian-7.3"), pytest.mark.usefixtures("unbalanced")]


def test_the_policy_is_there_before_the_first_page():
    with Container("crun", "steered", "32M", 96) as container:
        (record,) = records()
        assert record["backend"] == "migrate"
        assert (record["cpuset"]["home"], record["cpuset"]["away"]) == ("0", "0-1")
        container.fill()
        assert mems(container) == "0-1"
        with open(f"/proc/{container.pid}/numa_maps") as file:
            policies = {line.split()[1] for line in file}
        assert policies == {"interleave=relative:1"}
        settled(container)
        local, far = audit.pages(container.cgroup)
        assert BOUND * (1 - UNUSED) <= local <= BOUND + slack(BOUND)
        assert far >= 60 * MIB
        assert container.stop()[0] == 7


def test_its_processors_are_beside_its_memory_unless_its_user_says_otherwise():
    with Container("crun", "near", "32M", 16) as container:
        assert container.read("cpuset.cpus.effective") == "0"
        container.stop()
    with Container("crun", "chosen", "32M", 16, edit=resources(cpus="1")) as container:
        assert container.read("cpuset.cpus.effective") == "1"
        container.stop()


def test_a_bound_is_lowered_raised_and_removed():
    with Container("crun", "changed", "256M", 384) as container, Sampling(container.cgroup) as sampling:
        container.fill()
        settled(container, 256 * MIB)
        start = time.monotonic()
        assert helpers.run("bede", "set", "changed", "128M").returncode == 0
        wait_until("it is below", lambda: container.sample()[0] <= 128 * MIB + slack(128 * MIB))
        print(f"128 MiB were demoted in {time.monotonic() - start:.2f} s")
        container.go_on()
        settled(container, 128 * MIB)
        assert helpers.run("bede", "set", "changed", "192M").returncode == 0
        settled(container, 192 * MIB)
        one = listed()["changed"]
        assert one["demoted"] >= 120 * MIB
        assert one["promoted"] >= 50 * MIB
        assert one["mover_us"] > 0
        print(f"the mover used {one['mover_us'] / 1e6:.2f} s of CPU time")
        assert helpers.run("bede", "set", "changed", "max").returncode == 0
        wait_until("all of it is local", lambda: container.sample()[1] <= 8 * MIB)
        assert container.stop()[0] == 7
    assert sampling.highest <= 256 * MIB + slack(256 * MIB) or listed().get("changed") is None


def test_what_fits_again_comes_home():
    with Container("crun", "grown", "96M", 160) as container:
        container.fill()
        settled(container, 96 * MIB)
        assert listed()["grown"]["away"]
        assert helpers.run("bede", "set", "grown", "512M").returncode == 0
        wait_until("it is at home", lambda: mems(container) == "0")
        wait_until("and its memory", lambda: container.sample()[1] <= 4 * MIB)
        wait_until("it is told so", lambda: not listed()["grown"]["away"])
        assert helpers.run("bede", "set", "grown", "96M").returncode == 0
        settled(container, 96 * MIB)
        assert container.stop()[0] == 7


@pytest.mark.rarely
@pytest.mark.parametrize("call", ("set_mempolicy", "mbind"))
def test_what_a_program_binds_to_local_memory_is_left_counted_and_reported(call):
    with Container("crun", "own", "32M", 96, edit=placing(call, 0)) as container:
        container.fill()
        container.go_on()
        wait_until("it is counted", lambda: own("own") >= 90 * MIB)
        assert numa_maps(container.pid)[0] >= 96 * MIB
        wait_until("the statistics tell it", lambda: container.sample()[0] >= 96 * MIB)
        told = helpers.run("bede", "explain", "own").stdout
        assert "policy of their own" in " ".join(told.split())
        assert container.stop()[0] == 7


def test_a_program_that_wants_far_memory_may_have_it():
    edit = also(placing("mbind", 1), resources(mems="0-1"))
    with Container("crun", "wants", "32M", 96, edit=edit) as container:
        container.fill()
        assert not listed()["wants"]["steered"]
        assert numa_maps(container.pid)[1] >= 96 * MIB
        assert container.stop()[0] == 7


def test_without_the_policy_it_is_moved():
    with Container("crun", "moved", "32M", 96, edit=resources(mems="0-1")) as container:
        container.fill()
        assert not listed()["moved"]["steered"]
        for _ in range(3):
            container.go_on()
            local, far = container.sample()
            assert local <= BOUND + slack(BOUND)
            assert far >= 60 * MIB
        assert container.stop()[0] == 7


def test_a_container_that_ran_already_is_moved(capfd):
    with Container("crun", "running", None, 96, edit=resources(cpus="0")) as container:
        container.fill()
        assert container.sample()[0] >= 90 * MIB
        state = {"ociVersion": "1.0", "id": "running", "pid": container.pid, "status": "running"}
        state |= {"bundle": str(helpers.WORK / "running"), "annotations": {"bede.local": "32M"}}
        done = helpers.run("bede-hook", "createRuntime", input=json.dumps(state), stdin=None)
        assert done.returncode == 0
        assert "is not steered: it runs already" in capfd.readouterr().err
        wait_until("it is moved", lambda: container.sample()[0] <= BOUND + slack(BOUND))
        container.go_on()
        assert container.sample()[0] <= BOUND + slack(BOUND)
        assert not listed()["running"]["steered"]
        done = helpers.run("bede-hook", "poststop", input=json.dumps(state), stdin=None)
        assert (done.returncode, done.stderr) == (0, "")
        wait_until("nobody holds it", lambda: container.read("memory.high") == "max")
        assert container.stop()[0] == 7


@pytest.mark.parametrize("engine", ("podman-crun", *rarely("docker")))
def test_what_is_executed_in_a_container_counts(engine):
    with Container(engine, "entered", "32M", 96) as container:
        container.fill()
        words = ["docker" if engine == "docker" else "podman", "exec", "entered", "sleep", "5.25"]
        inside = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        try:
            asleep = [b"sleep", b"5.25", b""]
            pid = wait_until("it runs", lambda: _pid_of(asleep))
            with open(f"/proc/{pid}/numa_maps") as file:
                policy = {line.split()[1] for line in file}
            # For exec, Podman calls the runtime directly, and runs no hook.
            assert policy == ({"interleave=relative:1"} if engine == "docker" else {"default"})
        finally:
            inside.wait(timeout=helpers.DEADLINE)
        container.go_on()
        assert container.sample()[0] <= BOUND + slack(BOUND)
        assert container.stop()[0] == 7


def _pid_of(words):
    return next((pid for pid, given in helpers.command_lines() if given == words), 0)


@pytest.mark.parametrize("way", ("killed", "stopped"))
def test_another_agent_goes_on(way, agent):
    with Container("crun", "kept", "32M", 96) as container:
        container.fill()
        before = agent_pid()
        if way == "killed":
            os.kill(before, signal.SIGKILL)
        else:
            helpers.run("systemctl", "restart", agent)
        wait_until("another agent runs", lambda: agent_pid() not in (0, before))
        wait_until("it holds", lambda: "kept" in listed())
        container.go_on()
        settled(container)
        assert container.stop()[0] == 7


def test_a_killed_agent_at_home_strangles_nobody(agent):
    with Container("crun", "young", "96M", 192) as container:
        wait_until("it has begun", lambda: container.sample()[0] > 16 * MIB)
        os.kill(agent_pid(), signal.SIGKILL)
        container.fill()
        wait_until("it holds", lambda: "young" in listed())
        settled(container, 96 * MIB)
        assert container.stop()[0] == 7


@pytest.mark.rarely
def test_systemd_leaves_the_cpuset_alone():
    """systemd rewrites which controllers a slice hands down whenever it makes a unit in the slice."""
    command = ["bede", "run", "--local", "32M", "--name", "beside", "--"]
    command += ["python3", "-ISB", f"{helpers.WORKLOADS}/hot.py", "64", "1"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "filled\n"
        cgroup = helpers.CGROUPS / listed()["beside"]["cgroup"][1:]
        near = cgroup / "cpuset.cpus.effective"
        for words in (
            ("systemctl", "daemon-reload"),
            ("systemd-run", "--wait", "--quiet", "true"),
            ("systemd-run", "--scope", "--quiet", "-p", "MemoryMax=64M", "true"),
            ("systemctl", "restart", "bede-agent.service"),
        ):
            assert helpers.run(*words).returncode == 0
            assert (cgroup / "cpuset.mems.effective").read_text().strip() == "0-1", words
            wait_until("its processors are near", lambda: near.read_text().strip() == "0")
        wait_until("it is held", lambda: listed().get("beside", {}).get("away"))
    finally:
        process.communicate("stop\n", timeout=helpers.DEADLINE)
    helpers.nothing_left()


@pytest.mark.rarely
def test_letting_go_gives_everything_back(agent):
    with Container("crun", "free", "32M", 96) as container:
        container.fill()
        helpers.run("systemctl", "stop", "bede-agent.socket", agent)
        done = helpers.run("bede", "agent", "--release-all")
        assert done.returncode == 0, done.stderr
        assert container.read("memory.high") == "max"
        assert container.read("memory.swap.max") == "max"
        assert (container.read("cpuset.mems"), container.read("cpuset.cpus.effective")) == ("0-1", "0-1")
        container.go_on()
        assert container.stop()[0] == 7


def test_hot_pages_are_exchanged_for_cold_ones():
    """Also where these have a CPU for themselves, which then keeps their translations (native/visit.h)."""
    script = f"{helpers.WORKLOADS}/hot.py"
    process = subprocess.Popen(
        ["bede", "run", "--local", "32M", "--name", "hot", "--", "python3", "-ISB", script, "96", "12"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "filled\n"
        one = listed()["hot"]
        assert one["local"] <= BOUND + slack(BOUND)

        def local_share():
            process.stdin.write("where\n")
            process.stdin.flush()
            local, pages = map(int, process.stdout.readline().split())
            return local / pages

        assert local_share() < 0.5, "what came last was not sent away"
        wait_until("what is hot is local", lambda: local_share() > 0.7, 120)
        assert listed()["hot"]["local"] <= BOUND + slack(BOUND)
        assert listed()["hot"]["promoted"] > 0
    finally:
        process.communicate("stop\n", timeout=helpers.DEADLINE)
    helpers.nothing_left()


def counts():
    return helpers.run("grep", "-E", "^(pswpout|oom_kill) ", "/proc/vmstat").stdout.split()


@pytest.fixture(scope="module", autouse=True)
def before():
    """The counts of swapping and OOM kills before the first test of this file."""
    return counts()


def test_nobodys_memory_is_swapped_killed_or_failed(before):
    assert counts() == before
