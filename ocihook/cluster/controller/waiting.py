# SPDX-License-Identifier: Apache-2.0
"""Which nodes make room for which borrowers that have no node yet."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from ocihook.cluster.pods import Pod

#: Seconds for which what a borrower has left is still offered. The kubelet would fail a borrower that the
#: scheduler gives to the node in the moment in which the offer ends. After a minute of quiet there is none.
HOLD = 60.0
#: Seconds after which a node has made room in vain: the scheduler takes some to place a pod, if it can.
LONG = 45.0


class Waiting:
    """The bytes that nodes make room for. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._assigned: dict[str, dict[str, int]] = {}  # by the node's name, bytes by the pod's uid
        self._since: dict[tuple[str, str], float] = {}  # when a node was asked for a pod: (uid, node)
        self._left: dict[
            str, dict[str, tuple[int, float]]
        ] = {}  # the same with the time until which it holds

    def assign(self, assigned: Mapping[str, Mapping[str, int]], now: float) -> Iterable[str]:
        """Let nodes make room from *now* on, as in :func:`sharing.assigned`. Return those with a change."""
        with self._lock:
            asked = {(uid, name) for name, pods in assigned.items() for uid in pods}
            still = {uid for uid, _ in asked}
            self._since = {pair: at for pair, at in self._since.items() if pair[0] in still}
            for pair in asked:
                self._since.setdefault(pair, now)
            before, self._assigned = self._assigned, {name: dict(pods) for name, pods in assigned.items()}
        names = before.keys() | assigned.keys()
        return sorted(name for name in names if before.get(name) != self._assigned.get(name))

    def vain(self, now: float) -> set[tuple[str, str]]:
        """Return (uid, node) of the pods that a node has made room for in vain, for :data:`LONG`."""
        with self._lock:
            return {pair for pair, at in self._since.items() if now - at >= LONG}

    def left(self, pod: Pod, now: float) -> None:
        """Note that a borrower has left its node at the time *now*."""
        with self._lock:
            self._left.setdefault(pod.node, {})[pod.uid] = (pod.lent, now + HOLD)

    def at(self, node: str, now: float) -> dict[str, int]:
        """Return the bytes that a node makes room for at the time *now*, by the uid of the pod."""
        with self._lock:
            left = {uid: one for uid, one in self._left.get(node, {}).items() if one[1] > now}
            if left:
                self._left[node] = left
            else:
                self._left.pop(node, None)
            return {uid: size for uid, (size, _) in left.items()} | self._assigned.get(node, {})

    def until(self, node: str) -> float | None:
        """Return when a node may take an offer back; None if nothing has been left there."""
        with self._lock:
            return min((until for _, until in self._left.get(node, {}).values()), default=None)
