# SPDX-License-Identifier: Apache-2.0
"""Events on pods, which `kubectl describe pod` shows: what became of their bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from ocihook.cluster import clock, quantity
from ocihook.cluster.api import CONFLICT, Api, RefusedError
from ocihook.cluster.fields import Json
from ocihook.cluster.objects import Bounded, NodeLocalMemory, Slot
from ocihook.cluster.pods import Pod
from ocihook.cluster.watching import tell
from ocihook.sizing.lending import PAGE

UNREACHED = "WebhookUnreached"
BOUND = "LocalMemoryBound"
REFUSED = "LocalMemoryRefused"
SUFFERING = "LocalMemorySuffering"
EVICTED = "LocalMemoryEvicted"
SOURCE = "bede-controller"
#: Seconds in which a pod's first events may be missing, since the controller before this one has
#: ended. Longer than a change of controllers takes, and much shorter than events are kept: an hour.
NEW = 600.0
#: Seconds in which one warning of a kind is told of a container: a node may write another text each time.
SELDOM = 60.0


def of(local: NodeLocalMemory) -> Iterator[tuple[Bounded, str, str]]:
    """Yield (container, reason, text) for what the node says of each container."""
    wanted = {one.slot: one.size for one in local.bounds}
    for one in local.report.containers if local.report else ():
        if one.message:
            yield one, REFUSED, f"{one.slot.container}: {one.message}"
        elif one.suffers:
            saved = f"{one.suffers / 10:.0f} %"
            yield (
                one,
                SUFFERING,
                f"{one.slot.container}: a quarter more local memory would save {saved} of its far hits",
            )
        elif one.slot in wanted and wanted[one.slot] // PAGE == one.bound // PAGE:
            told = quantity.in_words(one.bound)
            yield one, BOUND, f"{one.slot.container} holds at most {told} of local memory on {local.name}"


class About(NamedTuple):
    """The object that an event is about."""

    version: str
    kind: str
    namespace: str  #: "" if it is in none; its events are in "default" then
    name: str
    uid: str


def pod(namespace: str, name: str, uid: str) -> About:
    """Return a pod."""
    return About("v1", "Pod", namespace, name, uid)


def event(about: About, reason: str, text: str, now: float) -> Json:
    """Return the event for *text*. The same text about the same object has one name: it is there once."""
    digest = hashlib.sha256("\0".join((about.uid, reason, text)).encode()).hexdigest()
    time = clock.stamp(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about.name}.{digest[:16]}", "namespace": about.namespace or "default"},
        "involvedObject": {
            "apiVersion": about.version,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
        },
        "reason": reason,
        "message": text,
        "type": "Normal" if reason == BOUND else "Warning",
        "source": {"component": SOURCE},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }


def send(api: Api, made: Json) -> None:
    """Send an event. Raises ClusterError if it may be taken later."""
    meta = made["metadata"]
    try:
        api.send("POST", f"/api/v1/namespaces/{meta['namespace']}/events", made)
    except RefusedError as error:
        if error.passes:
            raise
        # It is there already, or its namespace is going.
        if error.status != CONFLICT:
            tell(SOURCE, f"event on {meta['name']}: {error.message}")


class Told:
    """Which events have been told, so that each is sent once."""

    def __init__(self) -> None:
        self._last: dict[Slot, tuple[str, str]] = {}
        self._warned: dict[tuple[Slot, str], float] = {}  # when, by the reason of the event
        self._known: set[str] = set()  # names of nodes

    def news(
        self, local: NodeLocalMemory, pods: Sequence[Pod], now: float
    ) -> Iterator[tuple[Bounded, str, str]]:
        """Yield those of :func:`of` that are not the last that was told of their container.

        What a node has bound already when it is seen first was told by the controller before this one, unless
        its pod is new. *pods* are those on the node; *now* is in seconds after the epoch.
        """
        is_first = local.name not in self._known
        self._known.add(local.name)
        new = {pod.uid for pod in pods if now - pod.created < NEW}
        for one, reason, text in of(local):
            if self._last.get(one.slot) == (reason, text):
                continue
            if 0 <= now - self._warned.get((one.slot, reason), -SELDOM) < SELDOM:
                continue
            if not is_first or reason != BOUND or one.slot.pod_uid in new:
                yield one, reason, text
            self._last[one.slot] = (reason, text)
            if reason != BOUND:
                self._warned[one.slot, reason] = now

    def keep(self, pods: Collection[str]) -> None:
        """Forget all pods but these, given by their uids."""
        self._last = {slot: told for slot, told in self._last.items() if slot.pod_uid in pods}
        self._warned = {key: at for key, at in self._warned.items() if key[0].pod_uid in pods}
