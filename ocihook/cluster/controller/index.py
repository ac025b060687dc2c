# SPDX-License-Identifier: Apache-2.0
"""Pods and profiles, by what the controller asks for them. Several threads share it."""

from __future__ import annotations

import threading
from collections.abc import Collection

from ocihook.cluster.pods import Pod
from ocihook.cluster.profiles import Profile, chosen

_Pods = dict[str, Pod]  # by uid


class Index:
    """What the mirrors of pods and profiles have, sorted into groups."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pods: _Pods = {}
        self._by_node: dict[str, _Pods] = {}
        self._by_namespace: dict[str, _Pods] = {}
        self._profiles: dict[str, dict[str, Profile]] = {}  # by namespace, then by name

    def move(self, before: Pod | None, now: Pod | None) -> None:
        """Take the change of a pod; None stands for one that is not there."""
        with self._lock:
            if before is not None:
                self._pods.pop(before.uid, None)
                _leave(self._by_node, before.node, before)
                _leave(self._by_namespace, before.namespace, before)
            if now is not None:
                self._pods[now.uid] = now
                self._by_namespace.setdefault(now.namespace, {})[now.uid] = now
                if now.node:
                    self._by_node.setdefault(now.node, {})[now.uid] = now

    def learn(self, before: Profile | None, now: Profile | None) -> set[str]:
        """Take the change of a profile. Return the names of nodes that have pods of it."""
        found: set[str] = set()
        with self._lock:
            if before is not None:
                self._profiles.get(before.namespace, {}).pop(before.name, None)
            if now is not None:
                self._profiles.setdefault(now.namespace, {})[now.name] = now
            for changed in (before, now):
                if changed is None:
                    continue
                for pod in self._by_namespace.get(changed.namespace, {}).values():
                    if changed.selects(pod.namespace, dict(pod.labels)):
                        found.add(pod.node)
        return found - {""}

    def here(self, node: str) -> list[Pod]:
        """Return the pods on a *node*."""
        with self._lock:
            return list(self._by_node.get(node, {}).values())

    def on_nodes(self) -> dict[str, list[Pod]]:
        """Return the pods of each node that has any."""
        with self._lock:
            return {name: list(pods.values()) for name, pods in self._by_node.items() if pods}

    def waiting(self) -> list[Pod]:
        """Return the pods that want lent memory and have no node yet."""
        with self._lock:
            return [pod for pod in self._pods.values() if pod.lent and not pod.node and not pod.going]

    def unplaced(self) -> list[Pod]:
        """Return the pods that the scheduler has found no node for."""
        with self._lock:
            return [pod for pod in self._pods.values() if pod.unschedulable and not pod.node]

    def uids(self) -> Collection[str]:
        """Return the uids of all pods."""
        with self._lock:
            return set(self._pods)

    def profile_and_pod(self, uid: str) -> tuple[Profile, Pod] | None:
        """Return the pod with that *uid* and its profile; None if one of them is not there."""
        with self._lock:
            pod = self._pods.get(uid)
        profile = self.profile_of(pod) if pod is not None else None
        return (profile, pod) if pod is not None and profile is not None else None

    def used(self) -> set[str]:
        """Return the uids of the profiles that some pod has."""
        with self._lock:
            pods = list(self._pods.values())
        found = (self.profile_of(pod) for pod in pods)
        return {profile.uid for profile in found if profile is not None}

    def profile_of(self, pod: Pod) -> Profile | None:
        """Return the profile of a *pod*; None if it has none."""
        with self._lock:
            found = list(self._profiles.get(pod.namespace, {}).values())
        return chosen(found, pod.namespace, dict(pod.labels)) if found else None


def _leave(groups: dict[str, _Pods], name: str, pod: Pod) -> None:
    group = groups.get(name, {})
    group.pop(pod.uid, None)
    if not group:
        groups.pop(name, None)
