# SPDX-License-Identifier: Apache-2.0
"""Evicts pods by the Eviction API, which asks their disruption budgets if they run."""

from __future__ import annotations

import time
from collections.abc import Callable

from ocihook.cluster.api import CONFLICT, NOT_FOUND, Api, RefusedError
from ocihook.cluster.controller import events
from ocihook.cluster.fields import Json
from ocihook.cluster.pods import Pod
from ocihook.cluster.watching import tell
from ocihook.errors import ClusterError

NEEDED = "what it borrowed is needed"


class Evictor:
    """Knows how this cluster's Eviction API is called."""

    def __init__(self, api: Api, tell_of: Callable[[Json], None]) -> None:
        self._api = api
        self._tell_of = tell_of  # sends an event, sooner or later
        self._version = ""

    def evict(self, pod: Pod, why: str = NEEDED) -> list[ClusterError]:
        """Ask for *pod* to be evicted. Return the error, such as that its disruption budget forbids it."""
        try:
            self._evict(pod, why)
        except ClusterError as error:
            return [error]
        return []

    def _evict(self, pod: Pod, why: str) -> None:
        body = {
            "apiVersion": self._policy(),
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        try:
            self._api.send("POST", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction", body)
        except RefusedError as error:
            if error.status in (NOT_FOUND, CONFLICT):
                return  # it is gone, or another one of its name is there
            raise
        tell(events.SOURCE, f"pod {pod.key}: evicted: {why}")
        about = events.pod(pod.namespace, pod.name, pod.uid)
        self._tell_of(events.event(about, events.EVICTED, f"it was evicted: {why}", time.time()))

    def _policy(self) -> str:
        """Return the version of the API: policy/v1 since Kubernetes 1.22."""
        if not self._version:
            try:
                self._api.get("/apis/policy/v1")
                self._version = "policy/v1"
            except RefusedError as error:
                if error.status != NOT_FOUND:
                    raise ClusterError(error.message) from None
                self._version = "policy/v1beta1"
        return self._version
