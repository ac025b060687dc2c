# SPDX-License-Identifier: Apache-2.0
"""Follows nodes, their local memory and the pods with a bound, and has the API server know what follows."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from ocihook.cluster import objects, pods, profiles, words
from ocihook.cluster.api import MERGE, Api, RefusedError
from ocihook.cluster.controller import events, plan, sharing
from ocihook.cluster.controller.evict import Evictor
from ocihook.cluster.controller.learning import Learner
from ocihook.cluster.controller.plan import Node
from ocihook.cluster.controller.waiting import Waiting
from ocihook.cluster.objects import NodeLocalMemory
from ocihook.cluster.pods import Pod
from ocihook.cluster.profiles import Profile
from ocihook.cluster.watching import Mirror, tell
from ocihook.cluster.work import Work
from ocihook.errors import ClusterError
from ocihook.sizing.recommend import Recommendation

PROGRAM = "bede-controller"
#: Seconds after which a node is looked at again, whatever happened: what an error left behind is mended then.
AGAIN = 300.0
_EVERY = ""  # stands for all nodes
_WAITING = " "  # stands for the pods that wait for lent memory
_CONFLICT = 409


class Known(NamedTuple):
    """What the controller knows now."""

    nodes: list[Node]
    locals: list[NodeLocalMemory]
    pods: list[Pod]  #: those that are on a node
    errors: int  #: looks at nodes that have failed so far
    queue: int  #: names of nodes that wait


class Controller:
    """Mirrors of what it follows, and the names of nodes that have to be looked at."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.work = Work()
        self._told = events.Told()
        self._lock = threading.Lock()
        self._by_node: dict[str, dict[str, Pod]] = {}  # by the node's name, then the pod's uid
        self._by_uid: dict[str, Pod] = {}
        self._learner = Learner(lambda text: tell(PROGRAM, text))
        self._waiting = Waiting()
        self._errors = 0
        self._evictor = Evictor(api)
        self._nodes: Mirror[Node] = Mirror(api, "/api/v1/nodes", plan.keep_node, self._changed)
        self._locals: Mirror[NodeLocalMemory] = Mirror(api, words.NODES, objects.parse, self._changed)
        asked = {"labelSelector": words.BOUND}
        self._profiles: Mirror[Profile] = Mirror(api, profiles.PROFILES, profiles.parse, self._advised)
        self._pods: Mirror[Pod] = Mirror(api, "/api/v1/pods", pods.keep, self._moved, asked)

    def start(self) -> None:
        """Begin to follow everything. Return once all of it has been read."""
        mirrors = (self._nodes, self._locals, self._profiles, self._pods)
        for mirror in mirrors:
            mirror.start(PROGRAM)
        for mirror in mirrors:
            mirror.synced.wait()

    def run(self) -> None:
        """Look at nodes, for ever."""
        failed: dict[str, str] = {}
        self.work.put(_EVERY)
        while True:
            name = self.work.take()
            if name == _WAITING:
                self._assign()
                continue
            if name == _EVERY:
                for node in self._nodes.all():
                    self.work.put(node.name)
                self.work.after(AGAIN, _EVERY)
                with self._lock:
                    known = set(self._by_uid)
                self._learner.keep({one.uid for one in self._profiles.all()}, known)
                continue
            try:
                self.look(name)
            except ClusterError as error:
                if failed.get(name) != error.message:
                    tell(PROGRAM, f"node {name}: {error.message}")
                failed[name] = error.message
                self._errors += 1
                self.work.failed(name)
            else:
                failed.pop(name, None)
                self.work.worked(name)

    def known(self) -> Known:
        """Return what is known now. Any thread may call it."""
        with self._lock:
            pods = [pod for pod in self._by_uid.values() if pod.node]
        return Known(self._nodes.all(), self._locals.all(), pods, self._errors, len(self.work))

    def look(self, name: str) -> None:
        """Have the API server know what follows for the node called *name*. Raises ClusterError."""
        node, local = self._nodes.get(name), self._locals.get(name)
        if node is None:
            return  # its object goes with it
        with self._lock:
            here = list(self._by_node.get(name, {}).values())
        now = time.monotonic()
        shares = sharing.share(here, local, self._advise, self._waiting.at(name, now))
        for request in plan.requests(node, local, here, shares):
            self._api.send("PATCH", request.path, request.body, request.kind)
        again = self._waiting.until(name)
        if again is not None:
            self.work.after(max(again - now, 0.1), name)
        for pod in here:
            if pod.uid in shares.evicted:
                self._evictor.evict(pod)
        if local is not None:
            for about, reason, text in self._told.news(local):
                self._send_event(events.event(about, reason, text, time.time()))
            for profile in self._learner.learn(local, self._by_uid.get, self._profiles.all()):
                status = self._learner.status(profile, time.time())
                if status is not None:
                    self._api.send("PATCH", profiles.path(profile), {"status": status}, MERGE)

    def _assign(self) -> None:
        """Have nodes make room for the pods that wait for lent memory."""
        with self._lock:
            waiting = [pod for pod in self._by_uid.values() if pod.lent and not pod.node]
            here = {name: list(pods.values()) for name, pods in self._by_node.items()}
        lendable = {}
        if waiting:
            for name, pods in here.items():
                shares = sharing.share(pods, self._locals.get(name), self._advise, {})
                lendable[name] = shares.lendable - sum(pod.lent for pod in pods)
        for name in self._waiting.assign(sharing.assigned(waiting, lendable)):
            self.work.put(name)

    def _advise(self, pod: Pod, container: str) -> Recommendation | None:
        found = profiles.chosen(self._profiles.all(), pod.namespace, dict(pod.labels))
        return profiles.advised(found, container)

    def _send_event(self, event: dict[str, object]) -> None:
        meta = event["metadata"]
        assert isinstance(meta, dict)
        try:
            self._api.send("POST", f"/api/v1/namespaces/{meta['namespace']}/events", event)
        except RefusedError as error:
            # It is there already, or the pod's namespace is going.
            if error.status != _CONFLICT:
                tell(PROGRAM, f"event on {meta['name']}: {error.message}")

    def _advised(self, before: Profile | None, now: Profile | None) -> None:
        changed = [one for one in (before, now) if one is not None]
        with self._lock:
            nodes = {pod.node for pod in self._by_uid.values() for one in changed if _is_about(one, pod)}
        for name in nodes - {""}:
            self.work.put(name)

    def _changed(self, before: Node | NodeLocalMemory | None, now: Node | NodeLocalMemory | None) -> None:
        for one in (before, now):
            if one is not None:
                self.work.put(one.name)
                return

    def _moved(self, before: Pod | None, now: Pod | None) -> None:
        with self._lock:
            if before is not None:
                self._by_uid.pop(before.uid, None)
            if now is not None:
                self._by_uid[now.uid] = now
            if before is not None and before.node:
                self._by_node.get(before.node, {}).pop(before.uid, None)
            if now is not None and now.node:
                self._by_node.setdefault(now.node, {})[now.uid] = now
        if now is None and before is not None:
            self._told.forget(before.uid)
            if before.lent and before.node:
                self._waiting.left(before, time.monotonic())
        if any(one is not None and one.lent for one in (before, now)):
            self.work.put(_WAITING)
        for one in (before, now):
            if one is not None and one.node:
                self.work.put(one.node)


def _is_about(profile: Profile, pod: Pod) -> bool:
    return profile.selects(pod.namespace, dict(pod.labels))
