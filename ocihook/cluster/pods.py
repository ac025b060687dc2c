# SPDX-License-Identifier: Apache-2.0
"""What a pod asks for: its requests of local memory, and the bounds in its annotations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ocihook.cluster import clock, fields, quantity, words
from ocihook.cluster.fields import Json
from ocihook.cluster.objects import Bound, Slot
from ocihook.errors import InputError
from ocihook.spec import annotation, pod
from ocihook.spec.annotation import LOCAL, PREFIX, Policy

#: Containers of a pod with bounds. Each looks for its own among the annotations of all of them, so that the
#: time which a pod takes grows with the square of their number: with 4,000 of them it was six seconds.
MOST = 256
#: Bytes that a container may have: 16 PiB. More would not fit into the 64 bits in which the scheduler and the
#: kubelet add up what a pod's containers request: the sum would become negative, and fit on any node.
LARGEST = 1 << 54
_NOWHERE = ("PodScheduled", "False", "Unschedulable")  # the condition's type, status and reason
_OVER = ("Succeeded", "Failed")  # phases in which no container runs any more


@dataclass(frozen=True)
class Container:
    """A container in a pod's ``spec``; sizes in bytes."""

    name: str
    is_init: bool  #: whether it ends before the next one starts
    request: int | None  #: of local memory
    lent: int | None  #: of local memory that others lend
    limit: int | None  #: of all memory
    given: str = ""  #: what it requests of local memory, or of what others lend, as somebody has written it


@dataclass(frozen=True)
class Pod:
    """What the controller keeps of a pod."""

    namespace: str
    name: str
    uid: str
    node: str  #: "" until it is scheduled
    request: int  #: bytes that the scheduler counts for it
    lent: int  #: the same for memory that others lend
    bounds: tuple[Bound, ...]  #: of those of its containers that have one, in the order in which these start
    requests: tuple[tuple[str, int], ...] = ()  #: what the pod itself asked for, by container
    labels: tuple[tuple[str, str], ...] = ()
    going: bool = False  #: whether it is being deleted
    owner: str = ""  #: the uid of what would make it anew; "" if nothing would
    unschedulable: bool = False  #: whether the scheduler has found no node for it
    created: float = 0.0  #: when, in seconds after the epoch
    first: frozenset[str] = frozenset()  #: names of its containers that end before the next one starts

    @property
    def key(self) -> str:
        """Its name in the cluster."""
        return f"{self.namespace}/{self.name}"


def containers(spec: Json) -> list[Container]:
    """Return all containers of a pod's *spec*, init containers first. Raises InputError."""
    init = [(one, one.get("restartPolicy") != "Always") for one in fields.objects(spec, "initContainers")]
    return [
        _container(one, is_init)
        for one, is_init in [*init, *((one, False) for one in fields.objects(spec, "containers"))]
    ]


def _container(raw: Json, is_init: bool) -> Container:
    name = fields.text(raw, "name")
    found: list[int | None] = []
    text = ""
    both = ("limits", "requests")
    for resource, kinds in ((words.RESOURCE, both), (words.LENT, both), ("memory", ("limits",))):
        given = [
            value
            for kind in kinds
            if (value := fields.mapping(raw, "resources", kind).get(resource)) is not None
        ]
        what = f"container {name}: {resource}:"
        found.append(quantity.parse(given[0], what) if given else None)
        if given and resource != "memory":
            text = str(given[0])
    request, lent, limit = found
    return Container(name, is_init, request, lent, limit, text)


def counted(every: list[Container], lent: bool = False) -> int:
    """Return the bytes that the scheduler counts for a pod with these containers: guaranteed or *lent* ones.

    Init containers run one after another, before the others. Those that go on beside the others (sidecars)
    count with them. Source: KEP-753.
    """
    return at_once((one.is_init, (one.lent if lent else one.request) or 0) for one in every)


def at_once(sizes: Iterable[tuple[bool, int]]) -> int:
    """Return the most that containers have at once, by whether each ends before the next one starts."""
    together = most = 0
    for is_init, size in sizes:
        if is_init:
            most = max(most, together + size)
        else:
            together += size
    return max(most, together)


def own_key(name: str) -> str:
    """Return the annotation that bounds the container called *name* alone."""
    return f"{LOCAL}/{name}"


def bedes(annotations: dict[str, str]) -> dict[str, str]:
    """Return those of a pod's *annotations* that are about Bede."""
    return {name: value for name, value in annotations.items() if name.startswith(PREFIX)}


def policy(one: Container, annotations: dict[str, str]) -> Policy | None:
    """Return what the node makes of a pod's *annotations* for one of its containers. Raises InputError."""
    return annotation.parse(bedes(annotations) | pod.naming(one.name))


def bound(one: Container, annotations: dict[str, str]) -> int | None:
    """Return the bytes that *annotations* bound a container to; None if to none. Raises InputError."""
    found = policy(one, annotations)
    return None if found is None else found.resolve(one.limit)[0]


def asked(annotations: dict[str, str]) -> dict[str, int]:
    """Return what a pod itself requested, by container, where a profile gave it another size."""
    found = {}
    for part in annotations.get(words.ASKED, "").split(","):
        name, _, text = part.partition("=")
        try:
            found[name] = quantity.parse(text)
        except InputError:
            continue  # somebody has changed it
    return found


def asks(raw: Json) -> bool:
    """Return whether a pod asks for local memory, be it validly or not."""
    spec = fields.mapping(raw, "spec")
    every = [*fields.objects(spec, "initContainers"), *fields.objects(spec, "containers")]
    return annotation.is_any(fields.texts(raw, "metadata", "annotations")) or any(
        resource in fields.mapping(one, "resources", kind)
        for one in every
        for kind in ("limits", "requests")
        for resource in (words.RESOURCE, words.LENT)
    )


def keep(raw: Json) -> Pod | None:
    """Return what the controller needs of a pod; None if none of its containers will run any more.

    A pod that admission would have refused has its requests as its bounds; with too many containers it has
    none, and its node holds them to its annotations alone.
    """
    meta, spec = fields.mapping(raw, "metadata"), fields.mapping(raw, "spec")
    if fields.text(raw, "status", "phase") in _OVER:
        return None
    annotations, uid = fields.texts(meta, "annotations"), fields.text(meta, "uid")
    try:
        every = containers(spec)
    except InputError:
        every = []
    bounds = []
    for one in every if len(every) <= MOST else ():
        most = one.request if one.lent is None else one.lent
        if most is None:
            continue  # the scheduler does not count it: its node holds it to its annotation alone
        try:
            size = bound(one, annotations)
        except InputError:
            size = most
        size = most if size is None else min(size, most)
        bounds.append(Bound(Slot(uid, one.name), size, size if one.lent is None else 0))
    return Pod(
        fields.text(meta, "namespace"),
        fields.text(meta, "name"),
        uid,
        fields.text(spec, "nodeName"),
        counted(every),
        counted(every, lent=True),
        tuple(bounds),
        tuple(sorted(({one.name: one.request for one in every if one.request} | asked(annotations)).items())),
        tuple(sorted(fields.texts(meta, "labels").items())),
        "deletionTimestamp" in meta,
        next(
            (
                fields.text(one, "uid")
                for one in fields.objects(meta, "ownerReferences")
                if one.get("controller") is True
            ),
            "",
        ),
        any(
            (one.get("type"), one.get("status"), one.get("reason")) == _NOWHERE
            for one in fields.objects(raw, "status", "conditions")
        ),
        clock.seconds(fields.text(meta, "creationTimestamp")),
        frozenset(one.name for one in every if one.is_init),
    )
