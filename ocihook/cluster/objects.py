# SPDX-License-Identifier: Apache-2.0
"""The custom resource NodeLocalMemory: one a node, of its name (``kubernetes/base/crds``).

The controller writes ``spec``, which says what is to be; the node's bede-node writes ``status``, which says
what is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ocihook.cluster import fields, quantity, words
from ocihook.cluster.fields import Json
from ocihook.errors import printable

_SIZES = ("bound", "local", "far", "promoted", "denied", "suffers")
_HITS = ("hitsLocal", "hitsBest")
_LONGEST = 200  # characters of a node's message
BUDGET = 10  #: per cent of slowdown that is accepted, unless a profile says otherwise
READY = "Ready"  #: the condition's type
HOLDS = "HoldsBounds"  #: the reason of a condition that is true
NO_FAR_MEMORY = "NoFarMemory"  #: the reason where no memory is far, so that there is nothing to hold


class Slot(NamedTuple):
    """A container of a pod, whichever process it is now."""

    pod_uid: str
    container: str


class Bound(NamedTuple):
    """The bound of a container, in bytes."""

    slot: Slot
    size: int
    request: int  #: what is guaranteed to it: more is only lent, and its node takes that back if it has to
    budget: int = BUDGET  #: per cent by which far memory may slow it down; with more it may suffer


@dataclass(frozen=True)
class Bounded:
    """A bound container as its node reports it; sizes in bytes."""

    slot: Slot
    namespace: str
    pod: str
    bound: int
    local: int
    far: int
    promoted: int = 0
    denied: int = 0  #: not promoted for the sake of the bound, where the kernel counts that
    hits_local: int | None = None  #: thousandths of the hits that were local; None where nobody measures them
    hits_best: int | None = None  #: thousandths that would be local if the best pages were
    #: thousandths of its far hits that a quarter more local memory would save; 0 if it does not suffer
    suffers: int = 0
    message: str = ""  #: why the bound is not the one in ``spec``


@dataclass(frozen=True)
class Ready:
    """Whether a node can hold bounds, and if not, why."""

    holds: bool
    reason: str  #: in CamelCase, for programs
    message: str  #: for people


@dataclass(frozen=True)
class Report:
    """The status of a node."""

    total: int  #: bytes on its local nodes; 0 where none of its memory is far
    reserved: int  #: bytes of them that no bound may use
    ready: Ready
    containers: tuple[Bounded, ...] = ()
    observed: int = 0  #: the generation of the ``spec`` that has been carried out
    at: str = field(default="", compare=False)  #: when it was made

    @property
    def capacity(self) -> int:
        """The bytes that bounds may use."""
        return max(0, self.total - self.reserved)


@dataclass(frozen=True)
class NodeLocalMemory:
    """One object."""

    name: str
    uid: str = ""
    generation: int = 0  #: which ``spec`` this is
    owned: bool = False  #: whether it goes when its node goes
    bounds: tuple[Bound, ...] = ()  #: sorted
    report: Report | None = None  #: None until the node has told anything

    @property
    def fails(self) -> bool:
        """Whether the node has told that it cannot hold bounds."""
        return self.report is not None and not self.report.ready.holds


def parse(raw: Json) -> NodeLocalMemory:
    """Return the object in *raw*, as the API server has it."""
    meta = fields.mapping(raw, "metadata")
    return NodeLocalMemory(
        name=fields.text(meta, "name"),
        uid=fields.text(meta, "uid"),
        generation=fields.size(meta, "generation"),
        owned=bool(fields.objects(meta, "ownerReferences")),
        bounds=tuple(
            sorted(
                Bound(
                    _slot(one),
                    fields.size(one, "bytes"),
                    fields.size(one, "request"),
                    fields.size(one, "budget") or BUDGET,
                )
                for one in fields.objects(raw, "spec", "bounds")
            )
        ),
        report=_report(fields.mapping(raw, "status")),
    )


def spec(bounds: Iterable[Bound]) -> Json:
    """Return ``spec`` with these bounds."""
    return {
        "bounds": [
            {
                "podUID": one.slot.pod_uid,
                "container": one.slot.container,
                "bytes": one.size,
                "request": one.request,
                "budget": one.budget,
            }
            for one in bounds
        ]
    }


def status(report: Report, before: Json, now: str) -> Json:
    """Return ``status`` for a *report* made at the time *now*; *before* is the ``status`` so far."""
    bound = sum(one.bound for one in report.containers)
    local = sum(one.local for one in report.containers)
    return {
        "observedGeneration": report.observed,
        "reported": now,
        "total": report.total,
        "reserved": report.reserved,
        "bound": bound,
        "containers": [_container(one) for one in report.containers],
        "summary": {
            "total": quantity.in_words(report.total),
            "reserved": quantity.in_words(report.reserved),
            "bound": quantity.in_words(bound),
            "free": quantity.in_words(max(0, report.capacity - bound)),
            "local": quantity.in_words(local),
            "containers": len(report.containers),
        },
        "conditions": [_condition(report.ready, before, now)],
    }


def empty(name: str) -> Json:
    """Return a new object for the node *name*."""
    return {
        "apiVersion": f"{words.GROUP}/{words.VERSION}",
        "kind": words.KIND,
        "metadata": {"name": name},
        "spec": {"bounds": []},
    }


def _condition(ready: Ready, before: Json, now: str) -> Json:
    told = "True" if ready.holds else "False"
    since = now
    for one in fields.objects(before, "conditions"):
        if one.get("type") == READY and one.get("status") == told:
            since = fields.text(one, "lastTransitionTime") or now
    return {
        "type": READY,
        "status": told,
        "reason": ready.reason,
        "message": ready.message,
        "lastTransitionTime": since,
    }


def _container(one: Bounded) -> Json:
    told = {
        "podUID": one.slot.pod_uid,
        "container": one.slot.container,
        "namespace": one.namespace,
        "pod": one.pod,
        **{name: getattr(one, name) for name in _SIZES},
        **dict(zip(_HITS, (one.hits_local, one.hits_best), strict=True)),
        "message": one.message or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _report(raw: Json) -> Report | None:
    conditions = [one for one in fields.objects(raw, "conditions") if one.get("type") == READY]
    if not conditions:
        return None
    return Report(
        total=fields.size(raw, "total"),
        reserved=fields.size(raw, "reserved"),
        ready=Ready(
            conditions[0].get("status") == "True",
            fields.text(conditions[0], "reason"),
            fields.text(conditions[0], "message"),
        ),
        containers=tuple(_bounded(one) for one in fields.objects(raw, "containers")),
        observed=fields.size(raw, "observedGeneration"),
        at=fields.text(raw, "reported"),
    )


def _bounded(raw: Json) -> Bounded:
    sizes = {name: fields.size(raw, name) for name in _SIZES}
    local, best = (min(fields.size(raw, name), 1000) if name in raw else None for name in _HITS)
    namespace, pod = (fields.text(raw, name) for name in ("namespace", "pod"))
    message = printable(fields.text(raw, "message"))[:_LONGEST]
    return Bounded(_slot(raw), namespace, pod, hits_local=local, hits_best=best, message=message, **sizes)


def _slot(raw: Json) -> Slot:
    return Slot(fields.text(raw, "podUID"), fields.text(raw, "container"))
