# SPDX-License-Identifier: Apache-2.0
"""Nodes and memory tiers → local and far nodes.

Sources: ``/sys/devices/system/node/has_memory``,
``/sys/devices/virtual/memory_tiering/memory_tierN/nodelist``
(a smaller N is faster memory), ``/sys/kernel/mm/numa/demotion_enabled``.
"""

import os

from ocihook import fs, host
from ocihook.config import PATH as CONFIG
from ocihook.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

#: the machine in a box, which only a checkout has
MACHINE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "vmlab/guest")
#: The agent can hold nodes with numbers below this. BEDE_MAX_NODES of native/kfile.h is the original: a
#: container's start needs the number as well, but loads no C. A test compares the two.
MOST_NODES = 64


class Tiers:
    """The nodes whose memory a bound counts, and those that take what is beyond it."""

    __slots__ = ("far", "local")

    def __init__(self, local: tuple[int, ...], far: tuple[int, ...]) -> None:
        self.local = local
        self.far = far


def parse_list(text: str) -> tuple[int, ...]:
    """Return the nodes in a kernel list such as ``0-2,7``. Raises ValueError."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        if part:
            low, dash, high = part.partition("-")
            numbers.update(range(_node(low), _node(high if dash else low) + 1))
    return tuple(sorted(numbers))


def _node(text: str) -> int:
    node = fs.node(text)
    # A container's cpuset is a list too: what its user writes must not fill our memory.
    if node is None:
        raise ValueError(f"{text[:40]!a} is not a NUMA node")
    return node


def in_words(some: tuple[int, ...]) -> str:
    """Return the nodes *some* as part of a sentence: "node 1", "nodes 1 and 2"."""
    return "node" + ("s " if len(some) > 1 else " ") + " and ".join(map(str, some))


def format_list(numbers: "Collection[int]") -> str:
    """Return *numbers* in the form in which the kernel writes a list."""
    parts: list[str] = []
    start = before = -2
    for number in [*sorted(numbers), -1]:
        if number == before + 1:
            before = number
            continue
        if start >= 0:
            parts.append(str(start) if start == before else f"{start}-{before}")
        start = before = number
    return ",".join(parts)


def read_list(name: str) -> tuple[int, ...]:
    """Return the kernel list in the host's file *name*; empty where it cannot be read."""
    try:
        return parse_list(fs.read(host.path(name)))
    except (OSError, ValueError):
        return ()


def tier_lists() -> list[tuple[int, ...]]:
    """Return the nodes of each memory tier that has any, the fastest tier first."""
    try:
        names = os.listdir(host.path(host.TIERS))
    except OSError:
        return []
    found = [fs.number(name.removeprefix("memory_tier")) for name in names if name.startswith("memory_tier")]
    ranks = sorted(rank for rank in found if rank is not None)
    lists = [read_list(f"{host.TIERS}/memory_tier{rank}/nodelist") for rank in ranks]
    return [nodes for nodes in lists if nodes]


def with_memory() -> tuple[int, ...]:
    """Return the nodes that have memory."""
    return read_list(f"{host.NODES}/has_memory")


def is_lower(far_nodes: "Collection[int]") -> bool:
    """Return whether each of *far_nodes* is in a lower memory tier than every other node.

    Then the kernel's reclaim demotes to them.
    """
    rank = {node: at for at, tier in enumerate(tier_lists()) for node in tier}
    local = [rank.get(node, 0) for node in with_memory() if node not in far_nodes]
    return min((rank.get(node, 0) for node in far_nodes), default=0) > max(local, default=0)


def is_emulated(far_nodes: "Collection[int]") -> bool:
    """Return whether the configuration calls *far_nodes* far, but no lower memory tier has them."""
    return bool(far_nodes) and not is_lower(far_nodes)


def find(far_nodes: tuple[int, ...] = ()) -> Tiers:
    """Return the local and far nodes; *far_nodes* (from the configuration) says outright which are far.

    Raises HostError if there is no far node, or if every node with CPUs is called far.
    """
    found = _find(far_nodes)
    cpus = read_list(f"{host.NODES}/has_cpu") if far_nodes else ()
    if cpus and set(cpus) <= set(far_nodes):
        names = ("nodes " if len(cpus) > 1 else "node ") + " and ".join(map(str, cpus))
        raise HostError(
            f"far_nodes in the configuration names {names}, and no other has CPUs: that memory is local",
            f"Name the far ones, as far_nodes: [{', '.join(map(str, found.local))}]",
        )
    return found


def _find(far_nodes: tuple[int, ...]) -> Tiers:
    memory = with_memory()
    if far_nodes:
        missing = [node for node in far_nodes if node not in memory]
        if missing:
            raise HostError(
                f"far_nodes in the configuration names node {missing[0]}, which has no memory here",
                f"The nodes with memory are {', '.join(map(str, memory)) or 'unknown'}",
            )
        local = tuple(node for node in memory if node not in far_nodes)
        if not local:
            raise HostError(
                "far_nodes in the configuration names every node with memory, so none is local",
                "Leave out the nodes whose memory is to be bounded",
            )
        return Tiers(local, far_nodes)
    lists = tier_lists()
    if len(lists) > 1:
        return Tiers(lists[0], tuple(sorted(node for nodes in lists[1:] for node in nodes)))
    if len(memory) > 1:
        raise HostError(
            f"nodes {', '.join(map(str, memory))} are all in one memory tier, so nothing can be demoted",
            f"If one of them is to stand for far memory, name it in {CONFIG}: far_nodes: [{memory[-1]}]",
        )
    raise HostError(
        "this host has one NUMA node, so there is no far memory",
        "Bind containers on a host with CXL or other far memory"
        + ("; `bede vm run` has one to try" if os.path.isdir(MACHINE) else ""),
    )


def present(far_nodes: tuple[int, ...] = ()) -> Tiers:
    """Return the nodes like :func:`find`, by those of *far_nodes* that have memory now.

    Memory of a far node can be taken offline. Raises HostError if no far node is left.
    """
    memory = with_memory()
    left = tuple(node for node in far_nodes if node in memory)
    if far_nodes and not left:
        raise HostError(
            f"none of the far nodes {', '.join(map(str, far_nodes))} has memory now",
            f"Bring their memory online, or name other far_nodes in {CONFIG}",
        )
    # without the check of CPUs in find(): CPUs that are offline for a while must not end a bound
    return _find(left)


def room(nodes: tuple[int, ...]) -> tuple[int, int]:
    """Return (bytes that can be had, bytes in all) on *nodes*.

    Free memory can be had, and page cache, since it can be dropped. Source:
    ``/sys/devices/system/node/nodeN/meminfo``. What cannot be read counts as nothing.
    """
    free = total = 0
    for node in nodes:
        for line in host.read(f"{host.NODES}/node{node}/meminfo").split("\n"):
            words = line.split()
            if len(words) < 4:
                continue
            size = (fs.number(words[3]) or 0) * 1024
            if words[2] in ("MemFree:", "Active(file):", "Inactive(file):"):
                free += size
            elif words[2] == "MemTotal:":
                total += size
    return free, total


def reserved(nodes: tuple[int, ...]) -> int:
    """Return the bytes on *nodes* that the kernel keeps free for itself.

    Source: the watermarks ``min`` of ``/proc/zoneinfo``. What cannot be read counts as nothing.
    """
    pages = 0
    inside = False
    for line in host.read("/proc/zoneinfo").split("\n"):
        if line.startswith("Node "):
            inside = fs.node(line[5:].partition(",")[0]) in nodes
        elif inside and line.startswith("        min "):
            pages += fs.number(line[12:].strip()) or 0
    return pages * host.PAGE


def demotion_enabled() -> bool | None:
    """Return whether reclaim demotes; None if this kernel cannot demote."""
    text = host.read(host.DEMOTION).strip()
    return text in ("true", "1") if text else None


def enable_demotion() -> None:
    """Let reclaim demote instead of drop. Raises HostError if this kernel cannot."""
    enabled = demotion_enabled()
    if enabled is None:
        raise HostError(
            "this kernel cannot demote memory",
            f"Boot a kernel with memory tiers, that is 6.1 or later with {host.DEMOTION}",
        )
    if not enabled:
        try:
            fs.write(host.path(host.DEMOTION), "1")
        except OSError as error:
            raise HostError(
                f"demotion is off and cannot be turned on: {error.strerror}", f"Write 1 to {host.DEMOTION}"
            ) from None
