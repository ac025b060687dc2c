# SPDX-License-Identifier: Apache-2.0
"""Pods that no node has room for, though by now their profile recommends less than they request.

A request never changes, so such a pod is evicted. Whoever controls it makes it anew, and admission gives it
what the profile recommends.
"""

from __future__ import annotations

from ocihook.cluster import profiles
from ocihook.cluster.pods import Pod
from ocihook.cluster.profiles import Profile

#: Share by which the recommendation has to be smaller: for less it is not worth making a pod anew.
WORTH = 0.05


#: Seconds in which one pod of an owner is made anew: if admission was away, the new one is like the old.
PAUSE = 300.0


def is_too_large(pod: Pod, profile: Profile | None) -> bool:
    """Return whether a *pod* that waits would be made with a smaller request by its *profile*."""
    if pod.node or pod.going or not (pod.owner and pod.unschedulable):
        return False
    advised = profiles.sizes(profile)
    present = {one.slot.container: one.request for one in pod.bounds if one.request}
    wanted = {name: advised.get(name, size) for name, size in present.items()}
    return sum(wanted.values()) < (1 - WORTH) * sum(present.values())
