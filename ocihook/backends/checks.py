# SPDX-License-Identifier: Apache-2.0
"""Checks of a host and of a container that all backends share."""

from ocihook.errors import HostError, InputError
from ocihook.spec.size import format_size
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

FULL = 100  #: far memory is full when less than one part in 100 is available
NEARLY = 10  #: far memory is nearly full when less than one part in 10 is available


def far_room(tiers: Tiers) -> tuple[int, int]:
    """Return (bytes available, bytes in total) of far memory."""
    free, total = nodes.room(tiers.far)
    # Subtract the kernel's reserve, which can be some percent, only if memory is nearly full: reading the
    # reserve is slow on a host with many CPUs.
    if free < total // NEARLY:
        free = max(free - nodes.reserved(tiers.far), 0)
    return free, total


def require_low_node_numbers(tiers: Tiers) -> Tiers:
    """Return *tiers* if the agent can hold all of its nodes. Raises HostError if not.

    The agent's sets of nodes have 64 bits, one for each node number.
    """
    beyond = [node for node in (*tiers.local, *tiers.far) if node >= nodes.MOST_NODES]
    if beyond:
        raise HostError(
            f"memory node {beyond[0]} of this host cannot be held: on this kernel Bede can hold nodes 0 to"
            f" {nodes.MOST_NODES - 1}",
            "Boot a kernel with memory.node_limit, or take the memory of that node offline",
        )
    return tiers


def require_far_room(tiers: Tiers) -> None:
    """Check that far memory is not full. Raises HostError if it is."""
    free, total = far_room(tiers)
    if total and free < total // FULL:
        raise HostError(
            f"the far memory is full: {free >> 20} MiB of {total >> 20} MiB can be had",
            "End what uses it, or give the host more far memory; nothing can be demoted until then",
        )


def require_far_node_in_cpuset(mems: str, tiers: Tiers) -> None:
    """Check that the kernel list *mems* ("" for all), a cpuset's nodes, has a far one. Raises HostError."""
    try:
        allowed = nodes.parse_list(mems)
    except ValueError:
        return  # the kernel itself will refuse it
    if allowed and not set(allowed) & set(tiers.far):
        raise HostError(
            "the container's cpuset has no far node, so nothing of it can be demoted",
            f"Leave out --cpuset-mems, or add node {tiers.far[0]} to it",
        )


def useless(bound: int, own: dict[int, int], limit: int | None, local: tuple[int, ...]) -> str:
    """Return why *bound*, or one of the bounds *own* of single nodes, has no effect; "" if all have one.

    *limit* is the container's memory limit, None for none; *local* are the local nodes.
    """
    if limit is not None and bound >= limit:
        return f"its bound of {format_size(bound)} has no effect: its memory limit is {format_size(limit)}"
    for nodes_, value in ((local, bound), *(((node,), value) for node, value in own.items())):
        total = nodes.room(nodes_)[1]
        if total and value >= total:
            whose = "all local memory" if nodes_ == local else f"all memory of node {nodes_[0]}"
            return f"its bound of {format_size(value)} has no effect: {whose} is {total >> 20}M"
    return ""


def require_local_nodes(bounds: dict[int, int], tiers: Tiers) -> None:
    """Check that each node in *bounds* is local. Raises InputError if one is not."""
    for node in bounds:
        if node not in tiers.local:
            raise InputError(
                f"annotation bede.local.{node}: node {node} is not a local node of this host",
                f"The local nodes are {', '.join(map(str, tiers.local))}",
            )
