# SPDX-License-Identifier: Apache-2.0
"""What this host has and holds, as `bede ps` and `bede set` see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ocihook import config, fs
from ocihook.backends import choose
from ocihook.cgroup import path
from ocihook.cluster.node import plan
from ocihook.cluster.node.probing import Usage
from ocihook.cluster.objects import HOLDS, NO_FAR_MEMORY, Bounded, Ready, Slot
from ocihook.control.status import Status
from ocihook.errors import BedeError, HostError
from ocihook.topology import nodes
from ocihook.watch import containers


class Memory(NamedTuple):
    """The local memory of this host, in bytes."""

    total: int  #: 0 where no bound can be held
    reserved: int


def memory(reserve: Callable[[int], int]) -> tuple[Memory, Ready]:
    """Return this host's local memory, and whether it can hold bounds; *reserve* is as of :mod:`..door`."""
    try:
        tiers = nodes.present(config.load().far_nodes)
    except HostError as error:
        return Memory(0, 0), Ready(False, NO_FAR_MEMORY, error.message)
    except BedeError as error:
        return Memory(0, 0), Ready(False, "BadConfiguration", error.message)
    total = nodes.room(tiers.local)[1]
    far = nodes.in_words(tiers.far)
    return Memory(total, reserve(total)), Ready(True, HOLDS, f"what is cold goes to {far}")


def held() -> tuple[list[Status], int]:
    """Return (bound containers of pods, bytes that all others are bound to). Raises BedeError."""
    found = containers.listing()
    others = sum(one.bound for one in found if not one.pod_uid)
    return [one for one in found if one.pod_uid and one.pod_container], others


def carry_out(change: plan.Change) -> str:
    """Set a bound. Return why it could not be set; "" if it is in force."""
    try:
        choose.named(change.container.backend).set_bound(change.container, str(change.size))
    except BedeError as error:
        return error.message
    return ""


def _thousandths(share: float | None) -> int | None:
    return None if share is None else round(1000 * min(max(share, 0.0), 1.0))


def used(held: list[Status], now: float) -> dict[Slot, Usage]:
    """Return what containers have used until *now*; those that have ended meanwhile are left out."""
    found = {}
    for one in held:
        try:
            cgroup = path.reopen(one.cgroup, one.inode)
            if cgroup is None:
                continue
            with cgroup:
                text = fs.read("cpu.stat", dir_fd=cgroup.fd)
        except (OSError, BedeError):
            continue
        cpu = next(
            (fs.number(line[11:]) for line in text.split("\n") if line.startswith("usage_usec ")), None
        )
        found[plan.slot(one)] = Usage(now, cpu or 0, one.promoted or 0, one.promotion_denied or 0)
    return found


def reported(
    held: list[Status], refused: dict[Slot, str], suffers: Callable[[Slot], int]
) -> tuple[Bounded, ...]:
    """Return what is reported of containers, sorted.

    *refused* is as of :class:`plan.Plan`, *suffers* as of :class:`Prober`.
    """
    return tuple(
        sorted(
            (
                Bounded(
                    slot=plan.slot(one),
                    namespace=one.namespace,
                    pod=one.pod,
                    bound=one.bound,
                    local=one.local,
                    far=one.far,
                    promoted=one.promoted or 0,
                    denied=one.promotion_denied or 0,
                    hits_local=_thousandths(one.hits_local),
                    hits_best=_thousandths(one.hits_best),
                    suffers=suffers(plan.slot(one)),
                    message=refused.get(plan.slot(one), ""),
                )
                for one in held
            ),
            key=lambda one: one.slot,
        )
    )
