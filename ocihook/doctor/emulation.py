# SPDX-License-Identifier: Apache-2.0
"""Findings about an emulation: nodes that the configuration calls far, but that are in the same tier.

Sources: ``/sys/devices/system/node/nodeN/distance`` (Documentation/ABI/stable/sysfs-devices-node: one a node,
of the online ones), Documentation/admin-guide/mm/damon/usage.rst.
"""

from __future__ import annotations

from collections.abc import Iterator

from ocihook import host
from ocihook.backends import cpus
from ocihook.finding import GOOD, NOTE, WARN, Finding
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers


def look(tiers: Tiers) -> Iterator[Finding]:
    """Yield the finding that this host is an emulation, and whether containers keep off CPUs of far nodes."""
    far = nodes.in_words(tiers.far)
    yield Finding(
        "memory",
        "tiers",
        NOTE,
        f"an emulation: the configuration calls {far} far, but the kernel has no lower memory tier for it."
        f" Distances: {_distances(tiers)}",
        'Read "Studies by emulation" in Bede\'s documentation: it says what such a machine shows',
    )
    beside = [cpu for node in tiers.far for cpu in nodes.read_list(f"{host.NODES}/node{node}/cpulist")]
    if near := cpus.cpus_off_far_nodes(tiers):
        yield Finding(
            "memory",
            "cpus",
            GOOD,
            f"containers run on {'CPU' if near.isdigit() else 'CPUs'} {near}, which belong to local nodes,"
            " unless their users choose others",
        )
    elif beside:
        yield Finding(
            "memory",
            "cpus",
            WARN,
            "every CPU belongs to a far node, so no container's far memory is really far",
            "Choose far_nodes so that some CPUs belong to local nodes",
        )


def _distances(tiers: Tiers) -> str:
    """Return the distances between each local node and each far one, both ways, in words."""
    order = nodes.read_list(f"{host.NODES}/online") or nodes.with_memory()
    rows = {node: host.read(f"{host.NODES}/node{node}/distance").split() for node in order}

    def between(a: int, b: int) -> str:
        row = rows.get(a, [])
        return row[order.index(b)] if b in order and len(row) > order.index(b) else "unknown"

    found = []
    for near in tiers.local:
        for away in tiers.far:
            there, back = between(near, away), between(away, near)
            same = f"{there} both ways" if there == back else f"{there}, back {back}"
            found.append(f"node {near} to node {away} {same}")
    return "; ".join([*found, f"node {tiers.local[0]} to itself {between(tiers.local[0], tiers.local[0])}"])
