# SPDX-License-Identifier: Apache-2.0
"""The patched kernel holds a bound, whatever engines, systemd and a shrinking far node do meanwhile."""

import contextlib
import subprocess

import helpers
import pytest
from detached import Detached, docker, restart
from helpers import MIB, Container, all_placed, run, wait_until
from limited import pairs
from memory import emptied, goes_and_comes, online
from on import PATCHED, on, rarely

pytestmark = [on(PATCHED), pytest.mark.usefixtures("unbalanced")]
BOUND = 16 * MIB
DEMAND = 48  # MiB


def limited(container):
    """Check that the limit is unchanged and kept, by the kernel's counters and by the page tables."""
    assert pairs(container.read("memory.node_limit"))[0] == BOUND
    assert container.read("memory.high") == "max"
    container.go_on()
    assert pairs(container.read("memory.node_current"))[0] <= BOUND
    by_node = all_placed(container.pid, DEMAND * MIB)
    assert by_node[0] <= BOUND


@pytest.mark.rarely
@pytest.mark.parametrize("driver", ("systemd", *rarely("cgroupfs")))
def test_docker_and_systemd_leave_the_limit_alone(driver):
    settings = {"live_restore": True, "exec_opts": [f"native.cgroupdriver={driver}"]}
    options = ("--memory", "512m", "--memory-swap", "1g")
    with docker(**settings), Detached("docker", "alive", "16M", DEMAND, options=options) as container:
        container.fill()
        limited(container)
        for word in ("pause", "unpause"):
            assert run("docker", word, "alive").returncode == 0
        limited(container)
        done = run("docker", "update", "--memory", "384m", "--memory-swap", "500m", "alive")
        assert done.returncode == 0, done.stderr
        assert container.read("memory.max") == str(384 * MIB)
        limited(container)
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        restart("docker")
        limited(container)
        assert container.stop() == 7
    wait_until("its cgroup is removed", lambda: not container.cgroup.exists())
    assert helpers.records() == []


@pytest.mark.parametrize("runtime", ("podman-crun", *rarely("docker")))
def test_killed_container_comes_back_limited(runtime):
    with Detached(runtime, "back", "16M", DEMAND, options=("--restart", "always")) as container:
        container.fill()
        container.killed()
        container.fill()
        limited(container)
    wait_until("its cgroup is removed", lambda: not container.cgroup.exists())


def test_far_memory_shrinks_and_grows():
    with contextlib.ExitStack() as stack:
        gone = stack.enter_context(emptied())
        online(gone[:2])
        container = stack.enter_context(Container("crun", "shrunk", "16M", 80))
        container.fill()
        for _ in goes_and_comes(container, gone, BOUND):
            assert pairs(container.read("memory.node_limit"))[0] == BOUND
        assert container.stop()[0] == 7
