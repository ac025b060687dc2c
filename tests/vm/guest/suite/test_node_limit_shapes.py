# SPDX-License-Identifier: Apache-2.0
"""The patched kernel's limits in machines of other shapes."""

import os
from pathlib import Path

import pytest
from helpers import Container, all_placed
from limited import LOADS, MIB, Group, ended, slack, undisturbed, wait_until, write
from on import PATCHED, on

pytestmark = pytest.mark.usefixtures("swap", "unbalanced", "on_first_node")
two_socket = on(PATCHED, "two-socket")
three_node = on(PATCHED, "three-node")


@pytest.fixture
def on_first_node():
    """Run on node 0's CPU: both nodes have one, and the kernel allocates on the CPU's own node first."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    yield
    os.sched_setaffinity(0, before)


def placed(group, megabytes):
    """Run a load of eight processes to its end. Returns the samples."""
    with group.sampled() as samples:
        status, out = ended(group.start(*LOADS, "anon", str(megabytes), "8"))
    assert status == 0, out
    return samples


@two_socket
def test_on_two_sockets_without_tiers():
    tiers = {path.name for path in Path("/sys/devices/virtual/memory_tiering").glob("memory_tier*")}
    assert len(tiers) == 1
    with Group(limit="N0=64M") as group, undisturbed():
        samples = placed(group, 256)
        assert samples.highest <= 64 * MIB + slack(64)
        assert samples.mean(64 * MIB) >= 0.98 * 64 * MIB
        assert group.events()["over"] == 0
        group.fill(256)
        group.limit("N0=32M")
        assert group.local() <= 32 * MIB
        assert group.total() >= 256 * MIB
        assert group.events()["demoted"] * 4096 >= 31 * MIB


@two_socket
def test_on_two_sockets_binding_demotes_to_the_other_socket():
    with Group(limit="N0=64M") as group, undisturbed(), group.sampled() as samples:
        status, out = ended(group.start("numactl", "--membind=0", *LOADS, "anon", "128"))
        assert status == 0, out
    assert samples.highest <= 64 * MIB + slack(64)
    assert samples.total >= 128 * MIB


@two_socket
def test_on_two_sockets_container():
    def edit(config):
        config["linux"]["resources"] = {"cpu": {"cpus": "0"}}

    with Container("crun", "socket", "32M", 128, edit=edit) as container:
        container.fill()
        container.go_on()
        by_node = all_placed(container.pid, 128 * MIB)
        assert by_node[0] <= 32 * MIB
        assert container.stop()[0] == 7


@three_node
def test_on_three_nodes_limits_are_each_node_s():
    with Group(limit="N0=32M N1=24M") as group, undisturbed():
        group.fill(256)
        current = group.current()
        assert current[0] <= 32 * MIB + slack(32)
        assert current[1] <= 24 * MIB + slack(24)
        assert current[0] + current[1] >= 0.98 * 56 * MIB
        group.limit("N0=16M")
        current = group.current()
        assert current[0] <= 16 * MIB
        assert current[1] <= 24 * MIB + slack(24)
        assert sum(current.values()) >= 256 * MIB
        assert group.events()["over"] == 0


@three_node
def test_on_three_nodes_without_a_limit_of_the_second():
    with Group(limit="N0=32M") as group, undisturbed():
        process = group.start(*LOADS, "anon", "128", "1", "60")
        wait_until("the load is filled", lambda: group.total() >= 128 * MIB)
        current = group.current()
        assert current[0] <= 32 * MIB + slack(32)
        assert current[1] >= 90 * MIB  # on the nearest node with room, not on the far one
        process.kill()


@three_node
def test_on_three_nodes_cpuset():
    write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset")
    with Group(limit="N0=32M") as group, undisturbed():
        write(group.path / "cpuset.mems", "0,2")
        samples = placed(group, 128)
        assert samples.highest <= 32 * MIB + slack(32)
        group.fill(128)
        current = group.current()
        assert current[0] <= 32 * MIB + slack(32)
        assert current[0] >= 0.98 * 32 * MIB
        assert current[1] <= MIB
        group.limit("N0=16M")
        assert group.local() <= 16 * MIB
        assert group.current()[1] <= MIB
