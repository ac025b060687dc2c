# SPDX-License-Identifier: Apache-2.0
"""Findings about nodes, tiers, swap, and how much far memory is available.

Sources: ``/sys/devices/system/node/nodeN/{meminfo,distance,cpulist,access0/initiators/*}`` (HMAT's figures),
``/sys/devices/virtual/memory_tiering``, ``/proc/swaps``. For nodes that are only called far see
:mod:`ocihook.doctor.emulation`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ocihook import fs, host
from ocihook.backends import checks
from ocihook.config import Config
from ocihook.doctor import emulation
from ocihook.errors import HostError
from ocihook.finding import GOOD, NOTE, WARN, Finding, of_error
from ocihook.topology import nodes


def tiers(config: Config) -> nodes.Tiers | None:
    """Return which nodes are local and far; None if no node is far.

    In that case the finding of the backend says so.
    """
    try:
        return nodes.find(config.far_nodes)
    except HostError:
        return None


def look(config: Config, found: nodes.Tiers | None) -> Iterator[Finding]:
    """Yield findings about the nodes, and which of them are *found* to be local and far."""
    yield from _nodes(found)
    if found is not None and nodes.is_emulated(config.far_nodes):
        yield from emulation.look(found)
    else:
        yield _tiers()


def beside(found: nodes.Tiers | None) -> Iterator[Finding]:
    """Yield findings about swap, and how much memory can be had on the far nodes in *found*."""
    yield _swap()
    if found is not None:
        yield _far(found)


def _far(tiers: nodes.Tiers) -> Finding:
    """Return the finding how much far memory can be had."""
    try:
        checks.require_far_room(tiers)
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
        cpus = host.read(f"{host.NODES}/node{node}/cpulist").strip()
        facts.append(f"CPUs {cpus}" if cpus else "no CPUs")
        if distance := " ".join(host.read(f"{host.NODES}/node{node}/distance").split()):
            facts.append(f"distances {distance}")
        facts += _hmat(node)
        yield Finding("memory", f"node {node}", GOOD, ", ".join(facts))


def _hmat(node: int) -> list[str]:
    """Return latency (ns) and bandwidth (MB/s) from the nearest CPUs, by the firmware's tables, in words."""
    where = f"{host.NODES}/node{node}/access0/initiators"
    latency = fs.number(host.read(f"{where}/read_latency").strip())
    bandwidth = fs.number(host.read(f"{where}/read_bandwidth").strip())
    return [f"reads in {latency} ns, {bandwidth} MB/s"] if latency and bandwidth else []


def _tiers() -> Finding:
    lists = nodes.tier_lists()
    if not lists:
        return Finding("memory", "tiers", NOTE, "this kernel tells of no memory tiers")
    text = ", then ".join(" and ".join(f"node {node}" for node in one) for one in lists)
    return Finding(
        "memory", "tiers", GOOD if len(lists) > 1 else NOTE, f"{len(lists)}, the fastest first: {text}"
    )


def _swap() -> Finding:
    lines = host.read("/proc/swaps").splitlines()[1:]
    if not lines:
        return Finding("memory", "swap", GOOD, "none")
    where = ", ".join(line.split()[0] for line in lines)
    return Finding("memory", "swap", GOOD, f"on ({where}); nothing is swapped for a bound's sake")
