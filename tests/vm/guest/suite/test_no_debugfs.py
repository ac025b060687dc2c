# SPDX-License-Identifier: Apache-2.0
"""Without debugfs, as under the kernel lockdown that comes with Secure Boot: the agent moves pages itself."""

import helpers
import pytest
from helpers import MIB, Container, agent_pid, configured, run, wait_until
from on import on, rarely
from sampling import Sampling

pytestmark = [
    on("debian-6.12", clock="counted"),
    on("debian-7.3", clock="counted", rarely=True),
    pytest.mark.usefixtures("no_debugfs"),
]
BOUND, DEMAND = 64, 160  #: MiB
WITHIN = 0.01


@pytest.fixture(params=["bede", *rarely("balancing")])
def no_debugfs(request):
    """An agent that was started where there is no debugfs."""
    with configured(f"promotion: {request.param}\n"):
        assert run("umount", "/sys/kernel/debug").returncode == 0
        try:
            assert run("systemctl", "restart", "bede-agent").returncode == 0
            wait_until("there is an agent", agent_pid)
            yield
        finally:
            assert run("mount", "-t", "debugfs", "debugfs", "/sys/kernel/debug").returncode == 0
            assert run("systemctl", "restart", "bede-agent").returncode == 0
            wait_until("there is an agent", agent_pid)


def test_a_load_stays_within_its_bound():
    with Container("docker", "locked", f"{BOUND}M", DEMAND) as container, Sampling(container.cgroup) as seen:
        container.fill()
        wait_until("it has been demoted", lambda: container.sample()[1] > (DEMAND - BOUND) * MIB)
        container.go_on(5)
        (one,) = helpers.listed().values()
        assert one["stalls"] == 0
        assert "lru_gen cannot be used" in run("journalctl", "-u", "bede-agent", "-n", "50").stdout
        assert container.stop()[0] == 7
    print(f"highest {seen.highest / MIB:.2f} MiB of {BOUND}")
    assert seen.highest <= BOUND * MIB * (1 + WITHIN)
