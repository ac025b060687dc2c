# SPDX-License-Identifier: Apache-2.0
"""Follows nodes, their local memory and the pods with a bound, and has the API server know what follows."""

from __future__ import annotations

import enum
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ocihook.cluster import objects, pods, profiles, words
from ocihook.cluster.api import CONFLICT, MERGE, NOT_FOUND, Api, RefusedError
from ocihook.cluster.controller import events, mistakes, pending, plan, sharing
from ocihook.cluster.controller.evict import Evictor
from ocihook.cluster.controller.index import Index
from ocihook.cluster.controller.learning import Learner
from ocihook.cluster.controller.mistakes import Mistakes
from ocihook.cluster.controller.outbox import Outbox
from ocihook.cluster.controller.pace import Pace
from ocihook.cluster.controller.plan import Node
from ocihook.cluster.controller.waiting import Waiting
from ocihook.cluster.objects import NodeLocalMemory
from ocihook.cluster.pods import Pod
from ocihook.cluster.profiles import Profile
from ocihook.cluster.pulse import Pulse
from ocihook.cluster.watching import Mirror, tell
from ocihook.cluster.work import Work
from ocihook.errors import ClusterError
from ocihook.sizing.recommend import Recommendation

PROGRAM = "bede-controller"
#: Seconds after which a node is looked at again, whatever happened: what an error left behind is mended then.
AGAIN = 300.0
#: Seconds in which borrowers that come together are given to nodes together.
SOON = 0.5
#: Seconds after which another node makes room, if the scheduler has not given the borrower to the first one.
ASSIGNED = 60.0
_NODES, _PODS = "/api/v1/nodes", "/api/v1/pods"


class Chore(enum.Enum):
    """What has to be looked at besides a single node; the values are for messages."""

    NODES = "all nodes"
    BORROWERS = "pods that wait for lent memory"
    UNPLACED = "pods that no node has room for"
    PROFILES = "profiles"


class Known(NamedTuple):
    """What the controller knows now."""

    nodes: list[Node]
    locals: list[NodeLocalMemory]
    pods: list[Pod]  #: those that are on a node
    errors: int  #: looks at nodes that have failed so far
    queue: int  #: names of nodes that wait
    acts: bool  #: whether it looks at nodes, and does not wait for its turn


class Controller:
    """Mirrors of what it follows, and what has to be looked at: nodes by their names, and chores."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.work: Work[str | Chore] = Work()
        self._told = events.Told()
        self._outbox = Outbox(api)
        self._pace = Pace()
        self._index = Index()
        self._learner = Learner(lambda text: tell(PROGRAM, text))
        self._waiting = Waiting()
        self._mistakes = Mistakes()
        self._errors = 0
        self._acts = False
        self._anew = pending.Anew()
        self._evictor = Evictor(api, self._outbox.put)
        self._nodes: Mirror[Node] = Mirror(api, _NODES, plan.keep_node, self._changed)
        self._locals: Mirror[NodeLocalMemory] = Mirror(api, words.NODES, objects.parse, self._changed)
        asked = {"labelSelector": words.BOUND}
        self._profiles: Mirror[Profile] = Mirror(
            api, profiles.PROFILES, profiles.parse, self._advised, profiles.LISTED
        )
        self._pods: Mirror[Pod] = Mirror(api, _PODS, pods.keep, self._moved, asked)

    def start(self) -> None:
        """Begin to follow everything. Return once all of it has been read."""
        mirrors = (self._nodes, self._locals, self._profiles, self._pods)
        for mirror in mirrors:
            mirror.start(PROGRAM)
        for mirror in mirrors:
            mirror.synced.wait()

    def run(self) -> None:
        """Look at nodes, for ever."""
        self._acts = True
        self._outbox.start()
        failed: dict[str | Chore, str] = {}
        chores = {
            Chore.NODES: self._sweep,
            Chore.BORROWERS: self._assign,
            Chore.UNPLACED: self._replace,
            Chore.PROFILES: self._judge,
        }
        self.work.put(Chore.NODES)
        pulse = Pulse(PROGRAM)
        pulse.start()
        self._api.progress = pulse.beat
        while True:
            name = self.work.take()
            try:
                with pulse.turn():
                    if isinstance(name, Chore):
                        chores[name]()
                    else:
                        self.look(name)
            except Exception as error:  # what others have written must not keep the controller from the rest
                text = f"internal error: {type(error).__name__}: {error}"[:400]
                if isinstance(error, ClusterError):
                    text = error.message
                # Somebody else has written the object first: the next look sees what.
                is_raced = isinstance(error, RefusedError) and error.status == CONFLICT
                if failed.get(name) != text and not is_raced:
                    tell(PROGRAM, f"{name.value if isinstance(name, Chore) else f'node {name}'}: {text}")
                failed[name] = text
                self._errors += 1
                self.work.failed(name)
            else:
                failed.pop(name, None)
                self.work.worked(name)

    def _sweep(self) -> None:
        """Have all nodes looked at, and forget what is gone."""
        self.work.after(AGAIN, Chore.NODES)
        for name in {node.name for node in self._nodes.all()} | {local.name for local in self._locals.all()}:
            self.work.put(name)
        known = self._index.uids()
        self._told.keep(known)
        self._pace.keep({node.name for node in self._nodes.all()})
        self._learner.keep({one.uid for one in self._profiles.all()}, known)

    def known(self) -> Known:
        """Return what is known now. Any thread may call it."""
        pods = [pod for here in self._index.on_nodes().values() for pod in here]
        return Known(self._nodes.all(), self._locals.all(), pods, self._errors, len(self.work), self._acts)

    def look(self, name: str) -> None:
        """Have the API server know what follows for the node called *name*. Raises ClusterError."""
        node, local = self._nodes.get(name), self._locals.get(name)
        if node is None:
            if local is not None and not local.owned:
                self._forget(name)
            return  # an object that has an owner goes with it
        here = [self._with_budget(pod) for pod in self._index.here(name)]
        now = time.monotonic()
        shares = sharing.share(here, local, self._advise, self._waiting.at(name, now))
        sizes = plan.sizes(node, local, here, shares)
        if plan.lowers(node, sizes):
            sizes = plan.sizes(node, local, self._all_pods(name), shares)
        for request in plan.requests(node, local, sizes, shares):
            wait = self._pace.wait(name) if request.can_wait else 0
            if wait:
                self.work.after(wait, name)
            else:
                self._api.send("PATCH", request.path, request.body, request.kind)
        again = self._waiting.until(name)
        if again is not None:
            self.work.after(max(again - now, 0.1), name)
        failed = [error for pod in here if pod.uid in shares.evicted for error in self._evictor.evict(pod)]
        if local is not None:
            self._tell(plan.own(local, here), here)
        if failed:
            raise failed[0]

    def _with_budget(self, pod: Pod) -> Pod:
        """Return *pod* with its profile's budget of slowdown in its bounds."""
        profile = self._index.profile_of(pod)
        if profile is None:
            return pod
        return replace(pod, bounds=tuple(one._replace(budget=profile.budget) for one in pod.bounds))

    def _forget(self, name: str) -> None:
        """Delete the object of a node that is gone, but whose bede-node has made it again."""
        pages = self._api.pages(_NODES, {"fieldSelector": f"metadata.name={name}"})
        if not any(page["items"] for page in pages):
            try:
                self._api.send("DELETE", f"{words.NODES}/{name}", {})
            except RefusedError as error:
                if error.status != NOT_FOUND:
                    raise

    def _all_pods(self, name: str) -> list[Pod]:
        """Return all pods of a node, those without Bede's label as well: the kubelet counts them, too."""
        asked = {"fieldSelector": f"spec.nodeName={name}"}
        found = (pods.keep(raw) for page in self._api.pages(_PODS, asked) for raw in page["items"])
        return [pod for pod in found if pod is not None]

    def _tell(self, local: NodeLocalMemory, here: Sequence[Pod]) -> None:
        """Write events and profiles by what a node has reported."""
        now = time.time()
        for one, reason, text in self._told.news(local, here, now):
            about = events.pod(one.namespace, one.pod, one.slot.pod_uid)
            self._outbox.put(events.event(about, reason, text, now))
        for profile in self._learner.learn(local, self._index.profile_and_pod, now):
            status = self._learner.status(profile, time.monotonic())
            if status is not None:
                self._write(profiles.path(profile), {"status": status})

    def _judge(self) -> None:
        """Tell of profiles that are of no use."""
        every, now = self._profiles.all(), time.time()
        for one, reason, text in self._mistakes.news(every, self._index.used(), time.monotonic()):
            about = events.About(*profiles.KIND, one.namespace, one.name, one.uid)
            self._outbox.put(events.event(about, reason, text, now))
        self.work.after(mistakes.ALONE + SOON, Chore.PROFILES)

    def _write(self, path: str, body: dict[str, object]) -> None:
        try:
            self._api.send("PATCH", path, body, MERGE)
        except RefusedError as error:
            # Whoever has deleted it wants no more of it, and nobody's profile keeps a node from its bounds.
            if error.status != NOT_FOUND:
                tell(PROGRAM, f"{path}: {error.message}")

    def _assign(self) -> None:
        """Have nodes make room for the pods that wait for lent memory."""
        waiting = self._index.waiting()
        lendable = {}
        if waiting:
            # The scheduler may not give them to the nodes that make room.
            self.work.after(ASSIGNED, Chore.BORROWERS)
            for name, here in self._index.on_nodes().items():
                node, local = self._nodes.get(name), self._locals.get(name)
                if node is None or node.cordoned or local is None:
                    continue
                shares = sharing.share(here, local, self._advise, {})
                lendable[name] = shares.lendable - shares.borrowed
        now = time.monotonic()
        assigned = sharing.assigned(waiting, lendable, self._waiting.vain(now))
        for name in self._waiting.assign(assigned, now):
            self.work.put(name)

    def _replace(self) -> None:
        """Have pods made anew that would fit as their profiles have it."""
        now = time.monotonic()
        waiting = self._index.unplaced()
        large = [pod for pod in waiting if pending.is_too_large(pod, self._index.profile_of(pod))]
        for pod in self._anew.next(large, now):
            for error in self._evictor.evict(pod, "it would be made with a smaller request, and fit"):
                tell(PROGRAM, f"pod {pod.key}: {error.message}")
        again = self._anew.until()
        if again is not None:
            self.work.after(max(again - now, SOON), Chore.UNPLACED)

    def _advise(self, pod: Pod, container: str) -> Recommendation | None:
        return profiles.advised(self._index.profile_of(pod), container)

    def _advised(self, before: Profile | None, now: Profile | None) -> None:
        self.work.after(SOON, Chore.UNPLACED)
        if now is not None and (before is None or now.mistake != before.mistake):
            self.work.after(SOON, Chore.PROFILES)
        for name in self._index.learn(before, now):
            self.work.put(name)

    def _changed(self, before: Node | NodeLocalMemory | None, now: Node | NodeLocalMemory | None) -> None:
        for one in (before, now):
            if one is not None:
                self.work.put(one.name)
                return

    def _moved(self, before: Pod | None, now: Pod | None) -> None:
        self._index.move(before, now)
        if before is not None and before.lent and before.node and (now is None or now.uid != before.uid):
            self._waiting.left(before, time.monotonic())
        if any(one is not None and one.lent for one in (before, now)):
            self.work.after(SOON, Chore.BORROWERS)
        if now is not None and now.unschedulable:
            self.work.after(SOON, Chore.UNPLACED)
        for one in (before, now):
            if one is not None and one.node:
                self.work.put(one.node)
