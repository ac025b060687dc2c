# SPDX-License-Identifier: Apache-2.0
"""On which node a pod of bede-node is, for API servers that do not tell by its token."""

from __future__ import annotations

from ocihook.cluster import fields
from ocihook.cluster.api import NOT_FOUND, Api, RefusedError
from ocihook.cluster.watching import tell
from ocihook.errors import ClusterError

_KEPT = 4096  # pods whose node is remembered: a cluster has as many nodes, or not many times more


class Placed:
    """The nodes of bede-node's pods. A pod's node never changes, so it is asked for once."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._known: dict[str, str] = {}

    def node_of(self, pod: str) -> str:
        """Return the node of the pod called *pod*; "" if there is none, or nobody tells."""
        if pod not in self._known:
            try:
                found = self._api.get(f"/api/v1/namespaces/{self._namespace}/pods/{pod}")
            except ClusterError as error:
                if not isinstance(error, RefusedError) or error.status != NOT_FOUND:
                    tell("bede-webhook", error.message)
                return ""
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[pod] = fields.text(found, "spec", "nodeName")
        return self._known[pod]
