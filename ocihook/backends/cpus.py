# SPDX-License-Identifier: Apache-2.0
"""Keeps a container off the CPUs of nodes that the configuration calls far, so that these are really far."""

from ocihook import fs, host
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

CPUS = "cpuset.cpus"


def cpus_off_far_nodes(tiers: Tiers) -> str:
    """Return the online CPUs that are on no far node, as a kernel list; "" if none or all of them are."""
    beside: set[int] = set()
    for node in tiers.far:
        beside.update(nodes.read_list(f"{host.NODES}/node{node}/cpulist"))
    others = [cpu for cpu in nodes.read_list(host.CPUS_ONLINE) if cpu not in beside]
    return nodes.format_list(others) if beside and others else ""


def keep(cgroup_fd: int, wanted: str) -> bool:
    """Restrict the cgroup to the CPUs *wanted*, unless it has a list. Return whether it was done.

    Raises OSError.
    """
    if not wanted or fs.read(CPUS, dir_fd=cgroup_fd).strip():
        return False
    fs.write(CPUS, wanted, dir_fd=cgroup_fd)
    return True
