# SPDX-License-Identifier: Apache-2.0
"""Pods that no node has room for, though by now their profile recommends less than they request.

A request never changes, so such a pod is evicted. Whoever controls it makes it anew, and admission gives it
what the profile recommends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ocihook.cluster import profiles
from ocihook.cluster.pods import Pod
from ocihook.cluster.profiles import Profile

#: Share by which the recommendation has to be smaller: for less it is not worth making a pod anew.
WORTH = 0.05
#: Seconds in which one pod of an owner is made anew, and at most after those that were in vain: if admission
#: was away, or the owner gives its pods a bound by annotation, the new one is like the old.
PAUSE, LONGEST = 300.0, 86400.0


@dataclass
class _Owner:
    until: float  # when the next of its pods may be made anew
    pause: float
    pods: frozenset[str]  # uids of those that have waited when the first one was


class Anew:
    """Which pods are made anew, one of each owner at a time."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], _Owner] = {}  # by the pods' namespace, and the owner's uid

    def next(self, large: Sequence[Pod], now: float) -> list[Pod]:
        """Return those of the pods that are too *large* which are to be evicted at the time *now*."""
        every: dict[tuple[str, str], list[Pod]] = {}
        for pod in large:
            every.setdefault((pod.namespace, pod.owner), []).append(pod)
        self._owners = {key: one for key, one in self._owners.items() if key in every or now < one.until}
        found = []
        for key, pods in every.items():
            uids = frozenset(pod.uid for pod in pods)
            owner = self._owners.setdefault(key, _Owner(now, PAUSE, uids))
            if now < owner.until:
                continue
            before = [pod for pod in pods if pod.uid in owner.pods]
            owner.pause = PAUSE if before else min(2 * owner.pause, LONGEST)
            owner.until = now + owner.pause
            found.append((before or pods)[0])
        return found

    def until(self) -> float | None:
        """Return when there may be more to do; None if nothing waits."""
        return min((one.until for one in self._owners.values()), default=None)


def is_too_large(pod: Pod, profile: Profile | None) -> bool:
    """Return whether a *pod* that waits would be made with a smaller request by its *profile*."""
    if pod.node or pod.going or not (pod.owner and pod.unschedulable):
        return False
    advised = profiles.sizes(profile)
    present = {one.slot.container: one.request for one in pod.bounds if one.request}
    wanted = {name: advised.get(name, size) for name, size in present.items()}
    return sum(wanted.values()) < (1 - WORTH) * sum(present.values())
