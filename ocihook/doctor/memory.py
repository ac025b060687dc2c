# SPDX-License-Identifier: Apache-2.0
"""Nodes, tiers, demotion and what else moves pages.

Sources: ``/sys/devices/system/node/nodeN/{meminfo,distance,cpulist,access0/initiators/*}`` (HMAT's figures),
``/sys/devices/virtual/memory_tiering``, ``/sys/kernel/mm``, ``/proc/sys/kernel/numa_balancing``,
``/proc/swaps``. What there is to say where far memory is only called so: :mod:`ocihook.doctor.emulation`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ocihook import fs
from ocihook.backends import checks, choose
from ocihook.config import Config
from ocihook.doctor import emulation
from ocihook.doctor.finding import BAD, GOOD, NOTE, ROOT, WARN, Finding, of_error
from ocihook.errors import HostError
from ocihook.topology import nodes

LRU = "/sys/kernel/mm/lru_gen/enabled"  #: tests point these elsewhere
LRU_GEN = "/sys/kernel/debug/lru_gen"
BALANCING = "/proc/sys/kernel/numa_balancing"
SWAPS = "/proc/swaps"
_PROMOTES = 2  # NUMA_BALANCING_MEMORY_TIERING


def look(config: Config, backend: str) -> Iterator[Finding]:
    """What there is, of that which matters where *backend* is to hold bounds."""
    tiers = None
    with contextlib.suppress(HostError):  # said with the backend
        tiers = nodes.find(config.far_nodes)
    yield from _nodes(tiers)
    if tiers is not None and emulation.is_one(config):
        yield from emulation.look(tiers, backend)
    else:
        yield _tiers()
    if backend == choose.TIER:
        yield _demotion()
        yield _generations()
    elif backend == choose.MIGRATE:
        yield emulation.counting(LRU, LRU_GEN)
    yield _balancing(backend)
    yield _swap()
    if tiers is not None:
        yield _far(tiers)


def _far(tiers: nodes.Tiers) -> Finding:
    """How much room there is for what is beyond bounds."""
    try:
        checks.room(tiers)
    except HostError as error:
        return of_error("memory", "far", error)
    free, total = checks.far_room(tiers)
    fact = f"{free >> 20} of {total >> 20} MiB of far memory can be had"
    if free < total // checks.NEARLY:
        return Finding(
            "memory",
            "far",
            WARN,
            f"nearly full: {fact}, and what is beyond a bound has to go there",
            "End what uses it, or give the host more far memory",
        )
    return Finding("memory", "far", GOOD, fact)


def _nodes(tiers: nodes.Tiers | None) -> Iterator[Finding]:
    for node in nodes.with_memory():
        free, total = nodes.room((node,))
        where = "a node" if tiers is None else "far" if node in tiers.far else "local"
        facts = [where, f"{total >> 20} MiB ({free >> 20} can be had)"]
        cpus = fs.read_or(f"{nodes.NODES}/node{node}/cpulist", "").strip()
        facts.append(f"CPUs {cpus}" if cpus else "no CPUs")
        if distance := " ".join(fs.read_or(f"{nodes.NODES}/node{node}/distance", "").split()):
            facts.append(f"distances {distance}")
        facts += _hmat(node)
        yield Finding("memory", f"node {node}", GOOD, ", ".join(facts))


def _hmat(node: int) -> list[str]:
    """Latency (ns) and bandwidth (MB/s) from the nearest CPUs, as the firmware tells."""
    where = f"{nodes.NODES}/node{node}/access0/initiators"
    latency = fs.number(fs.read_or(f"{where}/read_latency", "").strip())
    bandwidth = fs.number(fs.read_or(f"{where}/read_bandwidth", "").strip())
    return [f"reads in {latency} ns, {bandwidth} MB/s"] if latency and bandwidth else []


def _tiers() -> Finding:
    lists = nodes.tier_lists()
    if not lists:
        return Finding("memory", "tiers", NOTE, "this kernel tells of no memory tiers")
    text = ", then ".join(" and ".join(f"node {node}" for node in one) for one in lists)
    return Finding(
        "memory", "tiers", GOOD if len(lists) > 1 else NOTE, f"{len(lists)}, the fastest first: {text}"
    )


def _demotion() -> Finding:
    enabled = nodes.demotion_enabled()
    if enabled is None:
        return Finding(
            "memory", "demotion", BAD, "this kernel cannot demote", "Boot one with memory tiers, 6.1 or later"
        )
    if enabled:
        return Finding("memory", "demotion", GOOD, "on: reclaim demotes instead of dropping or swapping")
    if os.geteuid() != 0:
        return Finding(
            "memory",
            "demotion",
            ROOT,
            "demotion is off, and only root can turn it on: containers of your own cannot be bound",
            "Let root run bede doctor --fix",
        )
    return Finding(
        "memory",
        "demotion",
        NOTE,
        "off; the first bound container of root's turns it on",
        f"Write 1 to {nodes.DEMOTION}",
        nodes.enable_demotion,
    )


def _generations() -> Finding:
    """Whether the agent can demote ahead of the fence, coldest first."""
    enabled = fs.read_or(LRU, "").strip()
    if not enabled:
        return Finding(
            "memory",
            "lru_gen",
            WARN,
            "this kernel has no multi-generational LRU: the fence alone holds, at a higher price",
            "Boot a kernel with CONFIG_LRU_GEN",
        )
    if not int(enabled, 16) & 1:
        return Finding(
            "memory",
            "lru_gen",
            WARN,
            "off: nothing is demoted ahead of the fence",
            f"Write y to {LRU}",
            lambda: fs.write(LRU, "y"),
        )
    if os.geteuid() != 0:
        return Finding("memory", "lru_gen", NOTE, "on; whether its debugfs file can be used, only root sees")
    try:
        os.close(os.open(LRU_GEN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Finding(
            "memory",
            "lru_gen",
            WARN,
            f"{LRU_GEN} cannot be used ({error.strerror}): nothing is demoted ahead of the fence",
            "Mount debugfs on /sys/kernel/debug, without kernel lockdown",
        )
    return Finding("memory", "lru_gen", GOOD, "on, and its debugfs file can be used")


def _balancing(backend: str) -> Finding:
    mode = fs.number(fs.read_or(BALANCING, "").strip())
    if mode is None:
        return Finding("memory", "balancing", NOTE, "this kernel has no NUMA balancing")
    if backend == choose.MIGRATE:
        what = "off" if mode == 0 else f"mode {mode}: leaves memory with the policy that steers alone"
        return Finding("memory", "balancing", GOOD, f"{what}; the agent promotes")
    if mode == 0:
        return Finding("memory", "balancing", NOTE, "off: what became hot on a far node stays there")
    if backend == choose.NODE_LIMIT:
        return Finding("memory", "balancing", GOOD, f"mode {mode}: promotes within the bounds")
    if mode & _PROMOTES:
        return Finding(
            "memory",
            "balancing",
            WARN,
            f"mode {mode} promotes all that is hot, whatever the bounds; the agent has to demote it again",
            "sysctl kernel.numa_balancing=1 or 0",
        )
    return Finding(
        "memory",
        "balancing",
        NOTE,
        f"mode {mode}: promotes what is used, so a bound can be passed for moments",
    )


def _swap() -> Finding:
    lines = fs.read_or(SWAPS, "").splitlines()[1:]
    if not lines:
        return Finding("memory", "swap", GOOD, "none")
    where = ", ".join(line.split()[0] for line in lines)
    return Finding("memory", "swap", GOOD, f"on ({where}); nothing is swapped for a bound's sake")
