# SPDX-License-Identifier: Apache-2.0
"""What several backends say alike to people."""

from __future__ import annotations

from ocihook.finding import NOTE, Finding
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

NO_PROMOTION = "NUMA balancing is off: what is far stays far until it is freed or used anew"


def far_words(tiers: Tiers) -> str:
    """How much room there is for what is demoted."""
    free, total = nodes.room(tiers.far)
    return f"{free >> 20} of {total >> 20} MiB of far memory can be had"


def no_balancing(mode: int | None) -> Finding:
    """That nothing is promoted: NUMA balancing is off (*mode* 0), or this kernel has none (None)."""
    text = "this kernel has no NUMA balancing"
    if mode is not None:
        text = "off: what became hot on a far node stays there"
    return Finding("memory", "balancing", NOTE, text)
