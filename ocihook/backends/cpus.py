# SPDX-License-Identifier: Apache-2.0
"""A container's CPUs, kept off nodes that its host's configuration calls far, so that far is really far."""

from ocihook import fs, host
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

CPUS = "cpuset.cpus"


def near(tiers: Tiers) -> str:
    """The kernel list of the online CPUs that are on no far node; "" where that is all of them, or none."""
    beside: set[int] = set()
    for node in tiers.far:
        beside.update(nodes.read_list(f"{host.NODES}/node{node}/cpulist"))
    others = [cpu for cpu in nodes.read_list(host.CPUS_ONLINE) if cpu not in beside]
    return nodes.format_list(others) if beside and others else ""


def keep(cgroup_fd: int, wanted: str) -> bool:
    """Restrict the cgroup to the list *wanted*, unless it has one; whether it was. Raises OSError."""
    if not wanted or fs.read(CPUS, dir_fd=cgroup_fd).strip():
        return False
    fs.write(CPUS, wanted, dir_fd=cgroup_fd)
    return True
