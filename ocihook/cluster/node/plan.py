# SPDX-License-Identifier: Apache-2.0
"""Which bounds a node has to change, and in which order: pure, from what it holds and what it should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ocihook.cluster import quantity
from ocihook.cluster.objects import Slot
from ocihook.control.status import Status


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


def changes(held: Sequence[Status], wanted: Mapping[Slot, int], capacity: int) -> Plan:
    """Return how to come from what is *held* to what is *wanted*; sizes in bytes.

    The sum of all bounds does not pass *capacity* at any step. A container that nobody wants anything of
    keeps its bound.
    """
    total = sum(one.bound for one in held)
    found: list[Change] = []
    refused: dict[Slot, str] = {}
    differ = [(wanted[slot(one)], one) for one in held if wanted.get(slot(one), one.bound) != one.bound]
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
