"""What every backend needs of a host and of a container."""

from ocihook.errors import HostError, InputError
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

FULL = 100  #: far memory is full when less than this part of it can be had


def room(tiers: Tiers) -> None:
    """That far memory is not full. Raises HostError."""
    free, total = nodes.room(tiers.far)
    if total and free < total // FULL:
        raise HostError(
            f"the far memory is full: {free >> 20} MiB of {total >> 20} MiB can be had",
            "End what uses it, or give the host more far memory; nothing can be demoted until then",
        )


def cpuset(mems: str, tiers: Tiers) -> None:
    """That the kernel list *mems*, a cpuset's nodes, has a far one; an empty one is all. Raises HostError."""
    try:
        allowed = nodes.parse_list(mems)
    except ValueError:
        return  # only the kernel can judge it
    if allowed and not set(allowed) & set(tiers.far):
        raise HostError(
            "the container's cpuset has no far node, so nothing of it can be demoted",
            f"Leave out --cpuset-mems, or add node {tiers.far[0]} to it",
        )


def local(bounds: dict[int, int], tiers: Tiers) -> None:
    """That every node with a bound of its own is a local one. Raises InputError."""
    for node in bounds:
        if node not in tiers.local:
            raise InputError(
                f"annotation bede.local.{node}: node {node} is not a local node of this host",
                f"The local nodes are {', '.join(map(str, tiers.local))}",
            )
