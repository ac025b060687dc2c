# SPDX-License-Identifier: Apache-2.0
"""A far node that is taken away as a whole and comes back."""

import subprocess

import pytest
from helpers import MIB, Container, agent_pid, listed, nothing_left, records, slack, wait_until
from memory import Journal, far_blocks, offline, online
from on import STOCK, on
from sampling import Sampling

pytestmark = [on(STOCK, "module"), pytest.mark.usefixtures("unbalanced")]
BOUND = 16 * MIB
DEMAND = 64  # MiB
SIZE = 1024  # MiB of the far node


def far_node_comes():
    """Put the far node's memory online, as movable, so that it can be taken away again."""
    online(far_blocks(), "online_movable")


def test_far_node_goes_and_comes_back():
    subprocess.run(["bede", "ps"], check=True)
    journal = Journal()
    far_node_comes()
    journal.says(f"node 1 has come with {SIZE} MiB (far)")
    with Container("crun", "moved", "16M", DEMAND) as container:
        container.fill()
        with Sampling(container.cgroup) as sampling:
            container.go_on()
        assert sampling.highest <= BOUND + slack(BOUND)
        blocks = far_blocks()
        assert offline(blocks) == blocks
        journal.says("node 1 is gone (far); no far memory is left, containers without their bounds: 1")
        # No fence hinders the container while its bound cannot be held.
        assert (container.read("memory.high"), container.read("memory.swap.max")) == ("max", "max")
        assert listed() == {}
        container.go_on()
        wait_until("all of it is local", lambda: container.sample()[0] >= DEMAND * MIB)
        # An agent that starts now holds nothing, but keeps the record.
        before = agent_pid()
        subprocess.run(["systemctl", "restart", "bede-agent.service"], check=True)
        assert wait_until("another agent runs", agent_pid) != before
        assert listed() == {}
        assert [record["id"] for record in records()] == ["moved"]
        far_node_comes()
        journal.says(f"node 1 has come with {SIZE} MiB (far); containers held to their bounds: 1")
        wait_until("it is at its bound", lambda: container.sample()[0] <= BOUND + slack(BOUND))
        container.go_on()
        assert container.sample()[0] <= BOUND + slack(BOUND)
        assert list(listed()) == ["moved"]
        assert container.stop()[0] == 7
    nothing_left(container.cgroup)
