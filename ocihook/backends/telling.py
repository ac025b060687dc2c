# SPDX-License-Identifier: Apache-2.0
"""Messages that several backends share."""

from __future__ import annotations

from ocihook.control.status import Status
from ocihook.finding import NOTE, Finding
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

NO_PROMOTION = "NUMA balancing is off: what is far stays far until it is freed or used anew"


def far_words(tiers: Tiers) -> str:
    """Return how much far memory can be had for demotion, in words."""
    free, total = nodes.room(tiers.far)
    return f"{free >> 20} of {total >> 20} MiB of far memory can be had"


def placement(container: Status) -> list[tuple[str, str]]:
    """Return the row of `bede explain` about how good the placement is; none if nobody has measured it."""
    if container.hits_local is None or container.hits_best is None:
        return []
    local, best = container.hits_local, container.hits_best
    return [
        (
            "placement",
            f"{local:.0%} of what is in use is local; with the best pages local, {best:.0%} would be",
        )
    ]


def no_balancing(mode: int | None) -> Finding:
    """Return the finding that the kernel promotes nothing.

    NUMA balancing is off (*mode* 0), or this kernel has none (*mode* None).
    """
    text = "this kernel has no NUMA balancing"
    if mode is not None:
        text = "off: what became hot on a far node stays there"
    return Finding("memory", "balancing", NOTE, text)
