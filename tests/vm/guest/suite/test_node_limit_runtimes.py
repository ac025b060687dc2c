# SPDX-License-Identifier: Apache-2.0
"""Each runtime on the patched kernel: the kernel holds the bound by itself, without an agent."""

import json
import subprocess
from pathlib import Path

import helpers
import pytest
from helpers import MIB, Container, all_placed, cgroup_of, listed, run, slack, wait_until
from limited import keyed, pairs
from on import PATCHED, on, rarely

pytestmark = [on(PATCHED, first="bede-7.3"), pytest.mark.usefixtures("unbalanced")]

BOUND = 32
DEMAND = 128
TASKS = ("/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby",)
TASKS += ("/run/containerd/io.containerd.runtime.v2.task/default",)


@pytest.fixture(scope="module", autouse=True)
def no_agent():
    subprocess.run(["systemctl", "stop", "bede-agent.socket", "bede-agent.service"], check=True)
    yield
    assert helpers.processes("agent") == []
    subprocess.run(["systemctl", "start", "bede-agent.socket", "bede-agent.service"], check=True)


def limited(container, megabytes=BOUND):
    """Check the limit of a container that has filled its memory, by the kernel's counters and page tables."""
    assert pairs(container.read("memory.node_limit"))[0] == megabytes * MIB
    current = pairs(container.read("memory.node_current"))
    assert current[0] <= megabytes * MIB
    assert current[0] >= 0.9 * megabytes * MIB
    assert current[1] >= (DEMAND - megabytes - 4) * MIB
    by_node = all_placed(container.pid, DEMAND * MIB)
    assert by_node[0] <= megabytes * MIB


def bede_hooks():
    """Bede's hooks in the bundles of all running containers that a daemon keeps."""
    found = []
    for tasks in TASKS:
        for path in Path(tasks).glob("*/config.json"):
            hooks = json.loads(path.read_text()).get("hooks") or {}
            found += [hook for stage in hooks.values() for hook in stage if "bede" in hook["path"]]
    return found


@pytest.mark.parametrize("runtime", ("podman-crun", "docker", "crun", *rarely("podman-runc", "ctr", "runc")))
def test_the_kernel_holds_the_bound_of_every_runtime(runtime):
    with Container(runtime, f"limited-{runtime}", f"{BOUND}M", DEMAND) as container:
        container.fill()
        limited(container)
        container.go_on()
        limited(container)
        if runtime in ("docker", "ctr"):
            assert bede_hooks() == []
        assert helpers.processes("agent") == []
        assert helpers.records() == []
        events = keyed(container.cgroup / "memory.node_events")
        assert events["over"] * 4096 <= slack(BOUND * MIB)
        status, out, err = container.stop()
    assert (status, err) == (7, "")
    first, verdict = out.splitlines()
    assert first == "max", "a fence where none is needed"
    assert verdict == f"kept {DEMAND} MiB"
    wait_until(f"{container.cgroup} is removed", lambda: not container.cgroup.exists(), 20)


def test_ps_and_set_speak_with_the_kernel():
    with Container("podman-crun", "limited-set", f"{BOUND}M", DEMAND) as container:
        container.fill()
        (found,) = [one for one in listed().values() if one["bound"] == BOUND * MIB]
        assert found["backend"] == "node_limit"
        assert abs(found["local"] - pairs(container.read("memory.node_current"))[0]) <= MIB
        assert run("bede", "set", found["id"][:12], "16M").returncode == 0
        limited(container, 16)
        assert run("bede", "set", found["id"], "64M").returncode == 0
        assert pairs(container.read("memory.node_limit"))[0] == 64 * MIB
        wrong = run("bede", "set", found["id"], "64X")
        assert wrong.returncode != 0
        assert len(wrong.stderr.splitlines()) == 1
        container.stop()


@pytest.mark.rarely
def test_children_that_enter_later_count_too():
    with Container("podman-crun", "limited-exec", f"{BOUND}M", 16) as container:
        container.fill()
        script = f"exec {helpers.WORKLOADS}/loads anon 64 4 5"
        child = subprocess.Popen(
            ["podman", "exec", "limited-exec", "sh", "-c", script], stdout=subprocess.PIPE, text=True
        )
        seen = []
        while child.poll() is None:
            seen.append(pairs(container.read("memory.node_current")))
        assert child.returncode == 0
        assert max(sum(nodes.values()) for nodes in seen) >= 76 * MIB
        assert max(nodes[0] for nodes in seen) <= BOUND * MIB + slack(BOUND * MIB)
        assert cgroup_of(container.pid) == container.cgroup
        container.stop()
