# SPDX-License-Identifier: Apache-2.0
"""The custom resource LocalMemoryProfile: what was learned of the containers of alike pods.

A person writes ``spec``: which pods, and what may be recommended. The controller writes ``status``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ocihook.cluster import fields, quantity, words
from ocihook.cluster.fields import Json
from ocihook.cluster.objects import BUDGET
from ocihook.cluster.pods import LARGEST
from ocihook.errors import InputError
from ocihook.sizing.curve import Latencies
from ocihook.sizing.lending import PAGE
from ocihook.sizing.recommend import DOUBT, Recommendation
from ocihook.spec.annotation import MINIMUM

OFF, INITIAL, LIVE = "Off", "Initial", "Live"
#: Nanoseconds of a load from local and from far memory, as CXL has them (docs/emulation.md, profile cxl): no
#: node tells its own yet.
LATENCIES = Latencies(90.0, 250.0)
_MOST = 1 << 62


@dataclass(frozen=True)
class Advice:
    """What is recommended for a container, in bytes."""

    floor: int  #: with less it suffers for certain
    target: int
    max: int  #: more is of no use
    confidence: int  #: per cent


@dataclass(frozen=True)
class Profile:
    """One object; sizes in bytes."""

    namespace: str
    name: str
    uid: str
    selector: tuple[tuple[str, str], ...]  #: labels that its pods have; none means no pod
    mode: str  #: OFF, INITIAL: new pods get what is recommended, or LIVE: running ones lend what is more, too
    minimum: int
    maximum: int
    budget: int  #: per cent
    advice: tuple[tuple[str, Advice], ...] = ()  #: by the container's name, sorted
    saved: tuple[Json, ...] = field(default=(), compare=False)  #: what was learned, as ``status`` has it
    mistake: str = ""  #: what is wrong with ``spec``; then nothing is learned or recommended

    @property
    def key(self) -> str:
        """Its name in the cluster."""
        return f"{self.namespace}/{self.name}"

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Return whether it is about a pod with these *labels*."""
        if self.mistake or namespace != self.namespace or not self.selector:
            return False
        return all(labels.get(name) == value for name, value in self.selector)


def parse(raw: Json) -> Profile:
    """Return the object in *raw*, as the API server has it."""
    meta, spec = fields.mapping(raw, "metadata"), fields.mapping(raw, "spec")
    minimum, maximum, mistake = MINIMUM, _MOST, ""
    try:
        if spec.get("minimum") is not None:
            minimum = max(quantity.parse(spec["minimum"], "minimum"), MINIMUM)
        if spec.get("maximum") is not None:
            maximum = quantity.parse(spec["maximum"], "maximum")
        if minimum > maximum:
            least, most = quantity.in_words(minimum), quantity.in_words(maximum)
            raise InputError(f"the minimum, {least}, is above the maximum, {most}")
    except InputError as error:
        mistake = error.message
    return Profile(
        namespace=fields.text(meta, "namespace"),
        name=fields.text(meta, "name"),
        uid=fields.text(meta, "uid"),
        selector=tuple(sorted(fields.texts(spec, "selector", "matchLabels").items())),
        mode=fields.text(spec, "mode") or INITIAL,
        minimum=minimum,
        maximum=maximum,
        budget=fields.size(spec, "slowdownBudget") or BUDGET,
        # A name may be there twice: nothing in the custom resource forbids it.
        advice=tuple(
            sorted(
                {
                    fields.text(one, "name"): _advice(one)
                    for one in fields.objects(raw, "status", "containers")
                }.items()
            )
        ),
        saved=tuple(fields.objects(raw, "status", "containers")),
        mistake=mistake,
    )


def parse_short(raw: Json) -> Profile:
    """Return the object in *raw* without what was learned, which is large."""
    return replace(parse(raw), saved=())


def _advice(raw: Json) -> Advice:
    sizes = {name: fields.size(raw, "recommended", name) for name in ("floor", "target", "max")}
    return Advice(**sizes, confidence=fields.size(raw, "confidence"))


def chosen(found: list[Profile], namespace: str, labels: Mapping[str, str]) -> Profile | None:
    """Return the profile for a pod with these *labels*: of several, the first one by name."""
    return min(
        (one for one in found if one.selects(namespace, labels)), key=lambda one: one.name, default=None
    )


def advised(profile: Profile | None, container: str) -> Recommendation | None:
    """Return what *profile* recommends for a running *container* of that name; None if nothing."""
    one = dict(profile.advice).get(container) if profile and profile.mode == LIVE else None
    if one is None or not _is_believed(one):
        return None
    floor, target, most = (size // PAGE * PAGE for size in (one.floor, one.target, one.max))
    return Recommendation(floor, target, most, one.confidence / 100)


def _is_believed(one: Advice) -> bool:
    return MINIMUM <= one.target <= LARGEST and one.confidence >= 100 * DOUBT


def sizes(profile: Profile | None) -> dict[str, int]:
    """Return the bytes that new pods get, by the container's name; empty if the profile changes none."""
    if profile is None or profile.mode == OFF:
        return {}
    # Whole pages, as kernels count.
    return {name: one.target // PAGE * PAGE for name, one in profile.advice if _is_believed(one)}


PROFILES = f"{words.API}/localmemoryprofiles"
KIND = (f"{words.GROUP}/{words.VERSION}", "LocalMemoryProfile")
#: Asked of the list: tenants write profiles, each as long as the API server takes, and a page is read whole.
LISTED = {"limit": 20}


def path(profile: Profile) -> str:
    """Return the path of the object's ``status``."""
    return f"{words.API}/namespaces/{profile.namespace}/localmemoryprofiles/{profile.name}/status"
