# SPDX-License-Identifier: Apache-2.0
"""Memory that is added or removed while the host runs: kernel events report it, one line logs it."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from typing import NamedTuple

from ocihook.agent.registry import Registry
from ocihook.errors import HostError
from ocihook.journal import report
from ocihook.topology import nodes

QUIET = 1.0  #: seconds without an event after which a burst of them is over
LONGEST = 10.0  #: seconds after which a burst is reported even if it has not ended
_PROTOCOL = 15  # NETLINK_KOBJECT_UEVENT
_KERNEL = 1  # the multicast group of the kernel's own events; udev sends to another
_PACKET = 1 << 16
_SUBSYSTEMS = (b"SUBSYSTEM=memory", b"SUBSYSTEM=node")


class Capacity(NamedTuple):
    """The nodes that have memory, and which of them are far; *tiers* is None where none is far."""

    total: dict[int, int]  #: bytes by node
    tiers: nodes.Tiers | None

    def where(self, node: int) -> str:
        """Return the tier of *node* in one word."""
        if self.tiers is None:
            return "local"
        return "far" if node in self.tiers.far else "local"


def look(far_nodes: tuple[int, ...]) -> Capacity:
    """Return the host's memory as it is now; *far_nodes* is as in the configuration."""
    tiers = None
    with contextlib.suppress(HostError):
        tiers = nodes.present(far_nodes)
    return Capacity({node: nodes.room((node,))[1] for node in nodes.with_memory()}, tiers)


def difference(before: Capacity, now: Capacity, most: dict[int, int]) -> list[str]:
    """Return one text for each node that changed; *most* is the most memory that each node has ever had."""
    parts = []
    for node in sorted(before.total | now.total):
        had, has = before.total.get(node, 0), now.total.get(node, 0)
        if not has:
            parts.append(f"node {node} is gone ({before.where(node)})")
        elif not had:
            parts.append(f"node {node} has come with {has >> 20} MiB ({now.where(node)})")
        elif had != has:
            parts.append(f"node {node} has {has >> 20} of {most[node] >> 20} MiB now ({now.where(node)})")
        elif before.where(node) != now.where(node) and now.tiers is not None:
            parts.append(f"node {node} is {now.where(node)} now")
    return parts


def consequence(now: Capacity, before: int, after: int) -> str:
    """Return what a change of nodes means for containers, in words; "" if it means nothing.

    *before* containers were held before the change, *after* are held now.
    """
    if now.tiers is None:
        return f"; no far memory is left, containers without their bounds: {before}" if before else ""
    return f"; containers held to their bounds: {after}" if after != before else ""


def is_of_memory(packet: bytes) -> bool:
    """Return whether a kernel event is about a memory block or a node."""
    return any(field in _SUBSYSTEMS for field in packet.split(b"\0"))


class Watch:
    """A socket with the kernel's events to poll, and what to do when it is readable."""

    def __init__(self, far_nodes: tuple[int, ...]) -> None:
        self.far_nodes = far_nodes
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _PROTOCOL)
        self.socket.setblocking(False)
        self.socket.bind((0, _KERNEL))
        self.seen = look(far_nodes)
        self.most = dict(self.seen.total)
        self.first = self.last = 0.0  #: times of the first and the last event not reported yet

    def fileno(self) -> int:
        """Return the socket's descriptor, so that poll(2) accepts this object."""
        return self.socket.fileno()

    def take(self) -> None:
        """Read the events that have arrived."""
        while True:
            try:
                ours = is_of_memory(self.socket.recv(_PACKET))
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                ours = True  # events were lost, perhaps some about memory
            if ours:
                self.last = time.monotonic()
                self.first = self.first or self.last

    def left(self) -> float | None:
        """Return the seconds until a report is due; None if there is nothing to report."""
        if not self.first:
            return None
        return max(min(self.last + QUIET, self.first + LONGEST) - time.monotonic(), 0.0)

    def settle(self, registry: Registry) -> bool:
        """Hold containers by the nodes that exist now, and report the changes, if a burst of events is over.

        Return whether something has changed.
        """
        if self.left() != 0.0:
            return False
        self.first = 0.0
        before, self.seen = self.seen, look(self.far_nodes)
        for node, total in self.seen.total.items():
            self.most[node] = max(total, self.most.get(node, 0))
        parts = difference(before, self.seen, self.most)
        if parts:
            held = len(registry.containers)
            registry.renew(self.seen.tiers)
            now = len(registry.containers)
            report(f"{', '.join(parts)}{consequence(self.seen, held, now)}", "memory", containers=now)
        return bool(parts)
