# SPDX-License-Identifier: Apache-2.0
"""Which bounds a node has to change, and in which order: pure, from what it holds and what it should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ocihook import host
from ocihook.cluster import quantity
from ocihook.cluster.objects import Bound, Slot
from ocihook.control.status import Status
from ocihook.spec.annotation import MINIMUM


class Change(NamedTuple):
    """A bound to set."""

    container: Status
    size: int


class Plan(NamedTuple):
    """What can be done, and why the rest cannot."""

    changes: list[Change]  #: smaller bounds first
    refused: dict[Slot, str]  #: by container, in words


def slot(one: Status) -> Slot:
    """Return which container of which pod *one* is."""
    return Slot(one.pod_uid, one.pod_container)


def changes(held: Sequence[Status], bounds: Sequence[Bound], capacity: int) -> Plan:
    """Return how to come from what is *held* to the *bounds* that are wanted; sizes in bytes.

    The sum of all bounds does not pass *capacity* at any step. Where it has passed it, as when a container
    has just started, what is only lent is taken back at once. A container that nobody wants anything of keeps
    its bound.
    """
    total = sum(one.bound for one in held)
    found: list[Change] = []
    refused: dict[Slot, str] = {}
    wanted = _wanted(held, bounds, capacity)
    differ = [
        (wanted[slot(one)], one)
        for one in held
        if slot(one) in wanted and not is_same(wanted[slot(one)], one.bound)
    ]
    for size, one in sorted(differ, key=lambda pair: pair[0] - pair[1].bound):
        after = total + size - one.bound
        if size > one.bound and after > capacity:
            free = quantity.in_words(max(0, capacity - total + one.bound))
            refused[slot(one)] = (
                f"a bound of {quantity.in_words(size)} does not fit: {free} of the node's local memory"
                " are left for it"
            )
            continue
        total = after
        found.append(Change(one, size))
    return Plan(found, refused)


def is_same(size: int, other: int) -> bool:
    """Return whether two bounds are one to the kernel, which counts pages."""
    return size // host.PAGE == other // host.PAGE


def _wanted(held: Sequence[Status], bounds: Sequence[Bound], capacity: int) -> dict[Slot, int]:
    """Return the bounds that are wanted, without what is lent as far as there is no room for it.

    Of a borrower that has just started, nobody may have told this node yet: its pod says what it is.
    """
    wanted = {one.slot: one.size for one in bounds}
    present = {slot(one): one.bound for one in held}
    untold = [Bound(slot(one), one.bound, 0) for one in held if one.borrows and slot(one) not in wanted]
    excess = sum(min(size, wanted.get(slot, size)) for slot, size in present.items()) - capacity
    # The largest loan first: few are disturbed then.
    for one in sorted([*bounds, *untold], key=lambda one: one.request - one.size):
        if excess <= 0:
            break
        kept = max(one.request, MINIMUM)
        if one.slot in present and kept < one.size:
            excess -= min(present[one.slot], one.size) - min(present[one.slot], kept)
            wanted[one.slot] = kept
    return wanted
