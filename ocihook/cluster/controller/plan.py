# SPDX-License-Identifier: Apache-2.0
"""What the API server has to be told about one node: pure, from what it has said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ocihook.cluster import fields, objects, quantity, words
from ocihook.cluster.api import MERGE, STRATEGIC
from ocihook.cluster.controller.sharing import Shares
from ocihook.cluster.fields import Json
from ocihook.cluster.objects import Bound, NodeLocalMemory
from ocihook.cluster.pods import Pod
from ocihook.errors import InputError

#: Of the taint. Pods without local memory can do without Bede, so it keeps nobody away: it is only the last
#: choice. Without an agent, containers with a bound do not start, be they there or not.
EFFECT = "PreferNoSchedule"
MOST = 4096  #: bounds of a node, as the custom resource has it


@dataclass(frozen=True)
class Node:
    """What the controller keeps of a node."""

    name: str
    uid: str
    resources: tuple[
        tuple[str, int, int], ...
    ]  #: of those of Bede's that it has: name, capacity, allocatable
    unready: bool  #: whether it has Bede's taint
    taints: tuple[tuple[tuple[str, str], ...], ...] = ()  #: the others', field by field
    version: str = field(default="", compare=False)  #: of the whole object, most of which is not kept
    cordoned: bool = False  #: whether the scheduler leaves it out

    def has(self, resource: str) -> int:
        """Return the bytes of a *resource* that its pods may request now."""
        return next((size for name, size, _ in self.resources if name == resource), 0)


class Request(NamedTuple):
    """A change that the API server has to make."""

    path: str
    body: Json
    kind: str
    can_wait: bool = False  #: whether nothing happens by it that does not happen without it


def keep_node(raw: Json) -> Node:
    """Return what is needed of a node."""
    taints = fields.objects(raw, "spec", "taints")
    return Node(
        name=fields.text(raw, "metadata", "name"),
        uid=fields.text(raw, "metadata", "uid"),
        resources=tuple(
            (name, _amount(raw, "capacity", name), _amount(raw, "allocatable", name))
            for name in (words.RESOURCE, words.LENT)
            if any(name in fields.mapping(raw, "status", kind) for kind in ("capacity", "allocatable"))
        ),
        unready=any(one.get("key") == words.UNREADY for one in taints),
        taints=tuple(tuple(sorted(_texts(one))) for one in taints if one.get("key") != words.UNREADY),
        version=fields.text(raw, "metadata", "resourceVersion"),
        cordoned=fields.find(raw, "spec", "unschedulable") is True,
    )


def _texts(raw: Json) -> Iterable[tuple[str, str]]:
    return ((name, value) for name, value in raw.items() if isinstance(value, str))


def _amount(raw: Json, kind: str, name: str) -> int:
    try:
        return quantity.parse(fields.mapping(raw, "status", kind).get(name))
    except InputError:
        return 0


def capacity(local: NodeLocalMemory | None, pods: Sequence[Pod], present: int) -> int:
    """Return the bytes that pods on a node may request.

    It does not fall from the *present* bytes below what its *pods* have requested: a kubelet that restarts
    and finds less fails running pods. But it never rises for them: whoever names a node in a pod goes past
    the scheduler, and is for the kubelet to refuse.
    """
    offered = local.report.capacity if local and local.report else 0
    if local is not None and local.fails:
        offered = min(offered, present)  # its agent may come back, but pods that come now would not start
    return max(offered, min(sum(pod.request for pod in pods), present))


def lowers(node: Node, sizes: dict[str, int]) -> bool:
    """Return whether the node would have less of a resource with these *sizes* than it has."""
    return any(sizes.get(name, 0) < has for name, has, _ in node.resources)


def sizes(node: Node, local: NodeLocalMemory | None, pods: Sequence[Pod], shares: Shares) -> dict[str, int]:
    """Return the bytes of each resource that the *node* is to have. *pods* are those on it."""
    # Those without Bede's label have it as well, such as one that was made while no webhook answered.
    borrowed = max(shares.borrowed, sum(pod.lent for pod in pods if not pod.going))
    return {
        words.RESOURCE: capacity(local, pods, node.has(words.RESOURCE)),
        words.LENT: max(shares.offered, min(borrowed, node.has(words.LENT))),
    }


def requests(
    node: Node, local: NodeLocalMemory | None, sizes: dict[str, int], shares: Shares
) -> list[Request]:
    """Return what has to change, nothing where all is as it should be.

    *sizes* are those of :func:`sizes`, and *shares* says how the pods on the *node* share its memory. Where
    less is offered than before, that comes first, and before lenders get anything back.
    """
    found = [*_resources(node, sizes), *_taint(node, local)]
    if local is None:
        return found
    path = f"{words.NODES}/{local.name}"
    bounds = told(shares.bounds)
    if local.bounds != bounds:
        wait = is_as_they_start(local.bounds, bounds)
        found.append(Request(path, {"spec": objects.spec(bounds)}, MERGE, wait))
    if not local.owned:
        owner = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid}
        found.append(Request(path, {"metadata": {"ownerReferences": [owner]}}, MERGE))
    return found


def is_as_they_start(before: Sequence[Bound], after: Sequence[Bound]) -> bool:
    """Return whether a node holds the bounds *after* by itself, if it has been told those *before*.

    So it is where containers have ended, and where others have begun: these start with what they request.
    """
    known = {one.slot: one for one in before}
    return all(one == known[one.slot] if one.slot in known else one.size == one.request for one in after)


def told(bounds: tuple[Bound, ...]) -> tuple[Bound, ...]:
    """Return those of the *bounds* that a node is told: with more than :data:`MOST` the object is refused.

    The pods with the most containers are left out: these keep the bounds that they have started with.
    """
    if len(bounds) <= MOST:
        return bounds
    counts = Counter(one.slot.pod_uid for one in bounds)
    kept: set[str] = set()
    left = MOST
    for uid, count in sorted(counts.items(), key=lambda pair: (pair[1], pair[0])):
        if count > left:
            break
        kept.add(uid)
        left -= count
    return tuple(one for one in bounds if one.slot.pod_uid in kept)


def _resources(node: Node, sizes: dict[str, int]) -> list[Request]:
    # Without any of it, a node does not have the resource.
    wanted = tuple((name, size, size) for name, size in sizes.items() if size)
    if node.resources == wanted:
        return []
    told = {
        name: str(size) if size else None
        for name, size in sizes.items()
        if size or any(has == name for has, _, _ in node.resources)
    }
    # The kubelet makes allocatable of capacity, but the scheduler should not have to wait for it.
    body = {"status": {"capacity": told, "allocatable": told}}
    return [Request(f"/api/v1/nodes/{node.name}/status", body, STRATEGIC)]


def _taint(node: Node, local: NodeLocalMemory | None) -> list[Request]:
    report = local.report if local else None
    # A node without far memory has nothing to offer, and is as good as any for pods without a bound.
    unready = report is not None and not report.ready.holds and report.ready.reason != objects.NO_FAR_MEMORY
    if unready == node.unready:
        return []
    others = [dict(one) for one in node.taints]
    taints = [*others, {"key": words.UNREADY, "effect": EFFECT}] if unready else others
    # The list is written as a whole. With its version, nobody else's change in the meantime is lost.
    body = {"metadata": {"resourceVersion": node.version}, "spec": {"taints": taints}}
    return [Request(f"/api/v1/nodes/{node.name}", body, MERGE)]


def own(local: NodeLocalMemory, pods: Sequence[Pod]) -> NodeLocalMemory:
    """Return *local* with what it reports of its own *pods'* containers alone, each once, by their own names.

    A node could report anything, of anybody's pods, and of containers that no pod has.
    """
    here = {bound.slot: pod for pod in pods for bound in pod.bounds}
    if local.report is None:
        return local
    kept = {
        one.slot: replace(one, namespace=here[one.slot].namespace, pod=here[one.slot].name)
        for one in local.report.containers
        if one.slot in here
    }
    return replace(local, report=replace(local.report, containers=tuple(kept.values())))
