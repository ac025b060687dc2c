# SPDX-License-Identifier: Apache-2.0
"""What admission answers for a pod: how it is completed, or why it is refused.

A container's request of local memory becomes its bound (an annotation), and its bound becomes its request. So
what the scheduler counts is what the node holds it to.
"""

from __future__ import annotations

from collections.abc import Mapping

from ocihook.cluster import fields, pods, quantity, words
from ocihook.cluster.fields import Json
from ocihook.cluster.pods import Container
from ocihook.errors import InputError
from ocihook.spec import annotation
from ocihook.spec.annotation import LOCAL, MINIMUM

Patch = list[Json]  #: RFC 6902
CLASSES = (words.CLASS,)


def create(pod: Json, classes: tuple[str, ...] = CLASSES, advised: Mapping[str, int] | None = None) -> Patch:
    """Return what a new *pod* lacks; nothing if it asks for no local memory. Raises InputError.

    *classes* are the runtime classes that hold bounds; a pod that names none gets the first one. *advised*
    has the bytes that a profile recommends, by the container's name: they take the place of a request, but
    not of an annotation.
    """
    _check_resources(pod)
    if not pods.asks(pod):
        if words.BOUND in fields.texts(pod, "metadata", "labels"):
            raise InputError(f"label {words.BOUND}: no container asks for local memory", "Leave it out")
        return []
    annotations = fields.texts(pod, "metadata", "annotations")
    every = pods.containers(fields.mapping(pod, "spec"))
    _check_keys(annotations, every)
    sizes = {one.name: _agreed(one, annotations) for one in every}
    for name, size in sizes.items():
        if size is not None and size > pods.LARGEST:
            what = f"container {name}: {quantity.in_words(size)} of local memory"
            raise InputError(f"{what} is more than any node has", "Ask for less")
    add: dict[str, str] = {}
    asked: list[str] = []
    for one in every:
        if one.lent is not None and pods.policy(one, annotations) is None:
            add[pods.own_key(one.name)] = quantity.format_bytes(one.lent)
        elif one.request is not None and pods.policy(one, annotations) is None:
            given = (advised or {}).get(one.name, one.request)
            if given != one.request:
                asked.append(f"{one.name}={quantity.format_bytes(one.request)}")
            sizes[one.name] = given
            add[pods.own_key(one.name)] = quantity.format_bytes(given)
    if asked:
        add[words.ASKED] = ",".join(asked)
    borrowers = [one.name for one in every if one.lent is not None]
    if borrowers:
        add[words.BORROWERS] = ",".join(borrowers)
    patch = _map(pod, "annotations", add)
    patch += _map(pod, "labels", {words.BOUND: "true"})
    patch += _class(fields.text(pod, "spec", "runtimeClassName"), classes)
    for kind in ("initContainers", "containers"):
        for at, raw in enumerate(fields.objects(pod, "spec", kind)):
            size = sizes[fields.text(raw, "name")]
            if size is not None and words.LENT not in fields.mapping(raw, "resources", "limits"):
                patch += _resources(f"/spec/{kind}/{at}", raw, size)
    return patch


def update(before: Json, pod: Json) -> None:
    """Check a change of a pod: its bounds, and that none comes later. Raises InputError."""
    was, is_now = (words.BOUND in fields.texts(one, "metadata", "labels") for one in (before, pod))
    had, has = (fields.texts(one, "metadata", "annotations") for one in (before, pod))
    if not was and not is_now:
        # The node would hold a container to it that starts again, and nobody has counted it.
        for key, text in has.items():
            if annotation.is_any({key: text}) and had.get(key) != text:
                raise InputError(
                    f"annotation {key[:90]!a} is for pods that are made with a bound", "Make the pod anew"
                )
        return
    if not was:
        raise InputError(f"label {words.BOUND} is for pods that are made with a bound", "Leave it out")
    if not is_now:
        raise InputError(f"label {words.BOUND} stays on a pod with a bound", "Delete the pod instead")
    if pods.bedes(had) == pods.bedes(has):
        return
    every = pods.containers(fields.mapping(pod, "spec"))
    _check_keys(has, every)
    for one in every:
        size = pods.bound(one, has)
        most = one.request if one.lent is None else one.lent
        if size is None and most is not None:
            raise InputError(
                f"container {one.name} requested local memory, and keeps a bound",
                f"Set {pods.own_key(one.name)} to what it shall have",
            )
        if size is not None and size > (most or 0):
            raise InputError(
                f"container {one.name}: {quantity.in_words(size)} is more than the"
                f" {quantity.in_words(most or 0)} that it requested",
                "A request stays as it is: make the pod anew with a larger one",
            )


def _check_resources(pod: Json) -> None:
    """Check that no container requests what looks like Bede's, and would wait for it for ever."""
    spec = fields.mapping(pod, "spec")
    for one in (*fields.objects(spec, "initContainers"), *fields.objects(spec, "containers")):
        for kind in ("limits", "requests"):
            for name in fields.mapping(one, "resources", kind):
                if name.startswith(f"{words.GROUP}/") and name not in (words.RESOURCE, words.LENT):
                    raise InputError(
                        f"container {fields.text(one, 'name')}: {name[:90]!a} is no resource of Bede's",
                        f"Request {words.RESOURCE}, or {words.LENT}",
                    )


def _check_keys(annotations: dict[str, str], every: list[Container]) -> None:
    """Check that the bounds are for containers that exist, and not for too many. A runtime cannot do that."""
    if len(every) > pods.MOST:
        raise InputError(
            f"the pod has {len(every)} containers, and those with local memory have {pods.MOST} at most",
            "Make several pods of it",
        )
    names = {one.name for one in every}
    for key in annotations:
        base, slash, name = key.partition("/")
        if (base == LOCAL or base.startswith(LOCAL + ".")) and slash and name not in names:
            raise InputError(
                f"annotation {key[:90]!a} is for no container of the pod",
                f"Its containers are {', '.join(sorted(names))}",
            )


def _agreed(one: Container, annotations: dict[str, str]) -> int | None:
    """Return the bytes that both the container's request and its annotation say, or one of them alone."""
    policy = pods.policy(one, annotations)
    size = None if policy is None else policy.resolve(one.limit)[0]
    what = f"container {one.name}"
    if one.request is not None and one.lent is not None:
        raise InputError(
            f"{what}: it requests both {words.RESOURCE} and {words.LENT}", "Leave one of them out"
        )
    resource, asked, given = words.RESOURCE, one.request, one.given
    if one.lent is not None:
        resource, asked = words.LENT, one.lent
    if asked is None:
        return size
    if asked < MINIMUM:
        raise InputError(
            f"{what}: {resource}: {_as_given(asked, given)} is less than the least bound, 4Mi",
            "Ask for 4Mi or more",
        )
    if policy is not None and size != asked:
        raise InputError(
            f"{what}: it requests {_as_given(asked, given)} of {resource}, but annotation"
            f" {policy.total.name} is {_as_given(size or 0, policy.total.text)}",
            "Leave one of them out",
        )
    return asked


def _as_given(size: int, text: str) -> str:
    """Return a size as somebody has written it, and in words where these differ: ``64M (61Mi)``."""
    told = quantity.in_words(size)
    return told if text in (told, "") else f"{text[:40]} ({told})"


def _map(pod: Json, name: str, add: dict[str, str]) -> Patch:
    """Return what adds entries to the pod's annotations or labels."""
    if not add:
        return []
    path = f"/metadata/{name}"
    start: Patch = [] if fields.mapping(pod, "metadata", name) else [_add(path, {})]
    return [*start, *(_add(f"{path}/{_escaped(key)}", value) for key, value in sorted(add.items()))]


def _class(given: str, classes: tuple[str, ...]) -> Patch:
    if not given:
        return [_add("/spec/runtimeClassName", classes[0])]
    if given not in classes:
        hint = f"Leave it out, or name {' or '.join(classes)}"
        raise InputError(f"runtimeClassName {given[:60]!a} holds no bounds", hint)
    return []


def _resources(path: str, raw: Json, size: int) -> Patch:
    """Return what makes a container request *size* bytes: an extended resource needs both, and equal."""
    patch: Patch = [] if fields.mapping(raw, "resources") else [_add(f"{path}/resources", {})]
    for kind in ("limits", "requests"):
        has = fields.mapping(raw, "resources", kind)
        given = has.get(words.RESOURCE)
        if given is not None and quantity.parse(given) == size:
            continue
        if not has:
            patch.append(_add(f"{path}/resources/{kind}", {}))
        patch.append(_add(f"{path}/resources/{kind}/{_escaped(words.RESOURCE)}", str(size)))
    return patch


def _add(path: str, value: object) -> Json:
    return {"op": "add", "path": path, "value": value}


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
