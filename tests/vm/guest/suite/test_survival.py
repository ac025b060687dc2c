# SPDX-License-Identifier: Apache-2.0
"""What engines and systemd do to a bound container; the kernel's figures say whether it stays bound."""

import contextlib
import subprocess

import pytest
from detached import Detached, docker, restart
from held import BOUND, DEMAND, SIZE, adopted, fenced, holds
from helpers import MIB, Container, listed, nothing_left, records, run, slack, wait_until
from on import on, rarely

pytestmark = [on("debian-7.3"), pytest.mark.usefixtures("unbalanced")]
LIMIT = ("--memory", "512m", "--memory-swap", "1g")
DRIVERS = ("systemd", *rarely("cgroupfs"))


@pytest.fixture(scope="module", params=DRIVERS)
def driver(request):
    """Docker with one of its cgroup drivers, and with containers that survive a restart of its daemon."""
    with docker(live_restore=True, exec_opts=[f"native.cgroupdriver={request.param}"]):
        yield request.param


def limits(container):
    """memory.max in the container's cgroup and in the scope above it, where crun may write it."""
    return [(container.cgroup / where / "memory.max").read_text().strip() for where in (".", "..")]


@pytest.mark.rarely
@pytest.mark.parametrize("runtime", ("podman-crun", *rarely("docker")))
def test_pause_and_unpause(runtime):
    engine = runtime.partition("-")[0]
    with Container(runtime, "paused", SIZE, DEMAND) as container:
        container.fill()
        assert run(engine, "pause", "paused").returncode == 0
        before = container.progress(), container.sample()
        fenced(container)
        assert (container.progress(), container.sample()[0] <= BOUND + slack(BOUND)) == (before[0], True)
        assert run(engine, "unpause", "paused").returncode == 0
        holds(container)
        assert container.stop()[0] == 7
    nothing_left(container.cgroup)


def updated(runtime, agent):
    """Change memory.max of a container that is at its bound."""
    engine = runtime.partition("-")[0]
    with Container(runtime, "updated", SIZE, DEMAND, options=LIMIT) as container:
        container.fill()
        assert str(512 * MIB) in limits(container)
        done = run(engine, "update", "--memory", "384m", "--memory-swap", "500m", "updated")
        assert done.returncode == 0, done.stderr
        assert str(384 * MIB) in limits(container)
        fenced(container)
        holds(container)
        restart(agent)
        adopted()
        fenced(container)
        holds(container)
        # The value that the engine wrote is not the user's own memory.high.
        assert records()[0]["user_high"] is None
        assert container.stop()[0] == 7
    nothing_left(container.cgroup)


@pytest.mark.parametrize("runtime", ("podman-crun", *rarely("podman-runc")))
def test_another_memory_limit_by_podman(runtime, agent):
    updated(runtime, agent)


@pytest.mark.rarely
@pytest.mark.usefixtures("driver")
def test_another_memory_limit_by_docker(agent):
    updated("docker", agent)


@pytest.mark.rarely
def test_swap_limit_of_an_update_outlives_the_agent(agent):
    # It has a limit and is far from its bound, near which Bede closes swap by this file.
    with Container("docker", "swaps", "32M", 4, options=LIMIT) as container:
        container.fill()
        wait_until("its swap is its own", lambda: container.read("memory.swap.max") == str(512 * MIB))
        done = run("docker", "update", "--memory", "384m", "--memory-swap", "500m", "swaps")
        assert done.returncode == 0, done.stderr
        wait_until("it is recorded", lambda: records()[0]["user_swap_max"] == 116 * MIB)
        restart(agent)
        adopted()
        container.go_on(3)
        assert container.read("memory.swap.max") == str(116 * MIB)
        container.stop()


def test_fence_that_another_has_lifted_stands_again():
    with Container("crun", "lifted", SIZE, 8) as container:
        container.fill()
        # A frozen container causes no events, so the agent has to read the file to notice the change.
        (container.cgroup / "cgroup.freeze").write_text("1")
        fenced(container)
        for _ in range(3):
            (container.cgroup / "memory.high").write_text("max")
            fenced(container)
        (container.cgroup / "cgroup.freeze").write_text("0")
        assert container.stop()[0] == 7


def test_users_memory_high_by_systemd_outlives_reload_and_agent(agent):
    options = ("--cgroup-manager=systemd",)  # runc makes no cgroup below the scope
    with Container("podman-runc", "high", SIZE, 8, options=options) as container:
        container.fill()
        unit = container.cgroup.name
        subprocess.run(["systemctl", "set-property", "--runtime", unit, "MemoryHigh=14M"], check=True)
        for command in (["daemon-reload"], ["restart", agent], ["daemon-reload"]):
            wait_until("it is recorded", lambda: records()[0]["user_high"] == 14 * MIB)
            subprocess.run(["systemctl", *command], check=True)
            adopted()
            container.go_on()
            assert int(container.read("memory.high")) == 14 * MIB
        subprocess.run(["systemctl", "set-property", "--runtime", unit, "MemoryHigh="], check=True)
        fenced(container)
        container.stop()


@pytest.mark.rarely
def test_reloads_and_restarts_with_containers_of_every_kind(agent):
    kinds = ("crun", "podman-crun", "podman-runc")  # Docker: test_dockerd_restarted_with_live_restore
    with contextlib.ExitStack() as stack:
        every = [stack.enter_context(Container(kind, f"re-{kind}", SIZE, DEMAND)) for kind in kinds]
        for container in every:
            container.fill()
        for command in (["daemon-reload"], ["restart", agent], ["daemon-reexec"]):
            subprocess.run(["systemctl", *command], check=True)
            adopted()
            for container in every:
                holds(container)
                fenced(container)
        assert [container.stop()[0] for container in every] == [7] * 3
    for container in every:
        nothing_left(container.cgroup)


@pytest.mark.rarely
@pytest.mark.usefixtures("driver")
def test_dockerd_restarted_with_live_restore():
    with Detached("docker", "alive", SIZE, DEMAND) as container:
        container.fill()
        (before,) = listed()
        restart("docker")
        holds(container)
        fenced(container)
        assert list(listed()) == [before]
        assert container.pid in [record["pid"] for record in records()]
        assert container.stop() == 7
        nothing_left(container.cgroup)


def test_checkpoint_and_restore():
    # Not crun, which runs no hooks when it restores (README.md).
    with Detached("podman-runc", "frozen", SIZE, DEMAND) as container:
        container.fill()
        holds(container)
        done = run("podman", "container", "checkpoint", "frozen")
        assert done.returncode == 0, done.stderr
        nothing_left(container.cgroup)
        before = container.progress()
        done = run("podman", "container", "restore", "frozen")
        assert done.returncode == 0, done.stderr
        container.found()
        wait_until("it is at its bound", lambda: container.sample()[0] <= BOUND + slack(BOUND))
        wait_until("it goes on", lambda: container.progress() > before)
        holds(container)
        fenced(container)
        assert [record["pid"] for record in records()] == [container.pid]
        assert container.stop() == 7
        nothing_left(container.cgroup)


@pytest.mark.parametrize("runtime", ("podman-crun", *rarely("docker")))
def test_killed_container_comes_back_bound(runtime):
    with Detached(runtime, "back", SIZE, DEMAND, options=("--restart", "always")) as container:
        container.fill()
        holds(container)
        container.killed()
        container.fill()
        holds(container)
        fenced(container)
        assert [record["pid"] for record in records()] == [container.pid]
        assert [one["pid"] for one in listed().values()] == [container.pid]
    nothing_left(container.cgroup)
