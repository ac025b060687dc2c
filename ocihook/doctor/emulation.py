# SPDX-License-Identifier: Apache-2.0
"""What there is to say where far memory is only called so: nodes that the kernel takes for equal.

Sources: ``/sys/devices/system/node/nodeN/distance`` (Documentation/ABI/stable/sysfs-devices-node: one a node,
of the online ones), Documentation/admin-guide/mm/damon/usage.rst.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ocihook import fs
from ocihook.backends import choose, cpus, migrate
from ocihook.config import Config
from ocihook.doctor.finding import GOOD, NOTE, WARN, Finding
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

DAMON = "/sys/kernel/mm/damon/admin/kdamonds"  #: tests point these elsewhere
MODULES = "/sys/module"
#: those of DAMON's modules that leave it to nobody else while they are on; the agent puts the third on hold
_ALONE = ("damon_reclaim", "damon_lru_sort")
_OURS = 1000003  # update_us by which the agent knows its own (native/heat.c)


def is_one(config: Config) -> bool:
    """Whether far nodes are named that the kernel does not put into a lower tier."""
    return bool(config.far_nodes) and not nodes.is_lower(config.far_nodes)


def look(tiers: Tiers, backend: str) -> Iterator[Finding]:
    """That it is an emulation, what keeps far memory far, and what *backend* needs for it."""
    far = _words(tiers.far)
    yield Finding(
        "memory",
        "tiers",
        NOTE,
        f"an emulation: the configuration calls {far} far, and the kernel knows no lower tier of it."
        f" Distances: {_distances(tiers)}",
        'What such a machine shows and what not: Bede\'s documentation, "Studies by emulation"',
    )
    beside = [cpu for node in tiers.far for cpu in nodes.read_list(f"{nodes.NODES}/node{node}/cpulist")]
    if near := cpus.near(tiers):
        yield Finding(
            "memory",
            "cpus",
            GOOD,
            f"containers get {'CPU' if near.isdigit() else 'CPUs'} {near}, beside no far node, unless their"
            " users choose others",
        )
    elif beside:
        yield Finding(
            "memory",
            "cpus",
            WARN,
            "all of them are beside far nodes, so far is not far",
            "Call nodes far that leave some CPUs to the local ones",
        )
    if backend == choose.MIGRATE:
        if migrate.mask(nodes.with_memory(), tiers.far) is None:
            yield Finding(
                "memory",
                "steering",
                WARN,
                "no policy means all local nodes or all far ones by turns here: pages are only moved",
                f"Call other nodes far than {far}",
            )
        yield _damon()


def counting(lru: str, lru_gen: str) -> Finding:
    """Whether usage can be counted without delay; *lru* and *lru_gen* are the kernel's files."""
    enabled = fs.read_or(lru, "").strip()
    behind = "usage can be two seconds old where a container has cgroups of its own"
    if not enabled:
        return Finding("memory", "lru_gen", NOTE, f"this kernel has none: {behind}")
    if not int(enabled, 16) & 1:
        return Finding(
            "memory", "lru_gen", NOTE, f"off: {behind}", f"Write y to {lru}", lambda: fs.write(lru, "y")
        )
    if os.geteuid() == 0:
        try:
            os.close(os.open(lru_gen, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            return Finding(
                "memory", "lru_gen", NOTE, f"{lru_gen} cannot be used ({error.strerror}): {behind}"
            )
    return Finding("memory", "lru_gen", GOOD, "on: usage is counted without delay")


def _damon() -> Finding:
    """Whether the agent can tell what is cold from what is hot."""
    otherwise = "cold is not told from hot, and pages are moved in turn"
    if not os.path.exists(f"{DAMON}/nr_kdamonds"):
        return Finding(
            "memory",
            "damon",
            WARN,
            f"this kernel has none: {otherwise}",
            "Boot one with CONFIG_DAMON_SYSFS and CONFIG_DAMON_VADDR",
        )
    if os.geteuid() != 0:
        return Finding("memory", "damon", NOTE, "there; whether somebody else uses it, only root sees")
    mine = f"{DAMON}/0/contexts/0/monitoring_attrs/intervals/update_us"
    user = next((name for name in _ALONE if _is_on(name)), "")
    if not user and fs.number(fs.read_or(f"{DAMON}/nr_kdamonds", "").strip()):
        user = "" if fs.number(fs.read_or(mine, "").strip()) == _OURS else "somebody else"
    if user:
        return Finding(
            "memory", "damon", WARN, f"used by {user}: {otherwise}", "End what else uses /sys/kernel/mm/damon"
        )
    return Finding("memory", "damon", GOOD, "tells the agent what is cold and what is hot")


def _is_on(module: str) -> bool:
    return fs.read_or(f"{MODULES}/{module}/parameters/enabled", "").strip() == "Y"


def _distances(tiers: Tiers) -> str:
    """Of each local node from each far one, both ways."""
    order = nodes.read_list(f"{nodes.NODES}/online") or nodes.with_memory()
    rows = {node: fs.read_or(f"{nodes.NODES}/node{node}/distance", "").split() for node in order}

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


def _words(some: tuple[int, ...]) -> str:
    return "node" + ("s " if len(some) > 1 else " ") + " and ".join(map(str, some))
