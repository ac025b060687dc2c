# SPDX-License-Identifier: Apache-2.0
"""Containers that start at boot: bound before a reboot and after it.

tests/vm/test_machine.py runs this in a machine at each boot.
"""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import helpers
from detached import Detached
from helpers import MIB, all_placed, nothing_left, records, slack, wait_until

BOUND = 16 * MIB
DEMAND = 48  # MiB
OPTIONS = ("--restart", "always", "--stop-timeout", "1")
NAMES = {"docker": "boot-docker", "podman-crun": "boot-podman"}
STARTERS = ("docker.service", "podman-restart.service")
REBOOT = Path("/run/bede-vm/reboot")
LIMIT = "memory.node_limit"  #: on a kernel with this file, the kernel holds the bound and there is no record


class AtBoot(Detached):
    """A container that its engine has started at boot."""

    def __init__(self, runtime, name):
        self.name, self.gate, self.engine = name, helpers.WORK / f"{name}.gate", runtime.partition("-")[0]

    def __exit__(self, *exc):
        helpers.run(self.engine, "kill", self.name)
        helpers.run(self.engine, "rm", "-f", self.name)

    def _ended(self):
        return False


def check(containers):
    """Check that each container is at its bound, and that there are records of these and of nothing else."""
    for container in containers:
        container.fill()
        container.go_on()
        assert container.sample()[0] <= BOUND + slack(BOUND)
        by_node = all_placed(container.pid, DEMAND * MIB)
        assert by_node[0] <= BOUND + slack(BOUND)
    pids = {container.pid for container in containers}
    if (containers[0].cgroup / LIMIT).exists():
        assert all(f"N0={BOUND}" in container.read(LIMIT) for container in containers)
        assert records() == []
    else:
        assert {record["pid"] for record in records()} == pids
        wait_until("the agent holds both", lambda: {one["pid"] for one in helpers.listed().values()} == pids)


def before():
    """Start both containers, check their bounds, and request a reboot."""
    helpers.WORK.mkdir()
    made = [Detached(runtime, name, "16M", DEMAND, OPTIONS) for runtime, name in NAMES.items()]
    check([container.__enter__() for container in made])
    for container in made:
        (container.gate / "full").unlink()
        (container.gate / "progress").unlink()
    subprocess.run(["systemctl", "-q", "add-wants", "bede-run.target", *STARTERS], check=True)
    REBOOT.touch()
    print("bound before")


def after():
    """Check the containers that the boot has started, and end them."""
    found = [AtBoot(runtime, name).__enter__() for runtime, name in NAMES.items()]
    check(found)
    for container in found:
        container.__exit__()
    for container in found:
        nothing_left(container.cgroup)
    print("bound after")


if __name__ == "__main__":
    helpers.WORK = Path("/var/lib/bede-tests")  # survives a reboot
    helpers.BALANCING.write_text("0")
    before() if os.environ["BEDE_VM_BOOT"] == "0" else after()
    sys.exit(0)
