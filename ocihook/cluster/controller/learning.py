# SPDX-License-Identifier: Apache-2.0
"""Learns from nodes' reports how much local memory the containers of a profile need."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from ocihook.cluster import fields, quantity
from ocihook.cluster.fields import Json
from ocihook.cluster.objects import Bounded, NodeLocalMemory, Slot
from ocihook.cluster.pods import Pod
from ocihook.cluster.profiles import LATENCIES, Profile
from ocihook.errors import InputError
from ocihook.sizing import histogram, history
from ocihook.sizing.curve import fitted
from ocihook.sizing.histogram import Histogram
from ocihook.sizing.history import History, Sample
from ocihook.sizing.recommend import PEAK, Limits, Recommendation, recommend

#: Seconds between two writes of what was learned. What a controller that ends has not written is two reports.
SAVE = 600.0
#: Share by which a target has to differ from the one that is written, to be written at once.
NEWS = 0.05
MOST = 64  #: containers of a profile, as the custom resource has it


@dataclass
class _Container:
    """What is known of one container of a profile's pods."""

    history: History = field(default_factory=History)
    demand: Histogram = field(default_factory=Histogram)
    asked: int = 0  #: the most bytes that one of its pods has requested

    def recommended(self, profile: Profile) -> Recommendation:
        limits = Limits(self.asked, profile.minimum, profile.maximum, profile.budget / 100)
        return recommend(self.history, self.demand, LATENCIES, limits)


class Learner:
    """What was learned of all profiles."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._known: dict[str, dict[str, _Container]] = {}  # by the profile's uid, then the container's name
        self._seen: dict[Slot, str] = {}  # when the last report was made that something was learned from
        self._written: dict[str, tuple[float, dict[str, int]]] = {}  # when, and which targets, by uid

    def _of(self, profile: Profile) -> dict[str, _Container]:
        """Return what is known of *profile*; at first that is what its ``status`` has."""
        if profile.uid in self._known:
            return self._known[profile.uid]
        found = self._known[profile.uid] = {}
        for one in profile.saved:
            try:
                known = _Container(
                    history.restored(one.get("history")),
                    histogram.restored(one.get("demand")),
                    fields.size(one, "asked"),
                )
            except InputError as error:
                self._complain(f"profile {profile.key}: {error.message}: what was learned begins anew")
                continue
            found[fields.text(one, "name")] = known
        return found

    def keep(self, profiles: Collection[str], pods: Collection[str]) -> None:
        """Forget all but these profiles and pods, each by its uid. What was learned from a pod stays."""
        self._known = {uid: known for uid, known in self._known.items() if uid in profiles}
        self._written = {uid: told for uid, told in self._written.items() if uid in profiles}
        self._seen = {slot: at for slot, at in self._seen.items() if slot.pod_uid in pods}

    def learn(
        self, local: NodeLocalMemory, find: Callable[[str], tuple[Profile, Pod] | None], now: float
    ) -> list[Profile]:
        """Learn from a node's report. Return the profiles of which more is known than before.

        *find* returns the profile and the pod of a uid. The report counts as made *now*, in seconds since the
        epoch: a node's own clock may be wrong.
        """
        report = local.report
        if report is None:
            return []
        found: dict[str, Profile] = {}
        for one in report.containers:
            both = find(one.slot.pod_uid) if self._seen.get(one.slot) != report.at else None
            if both is None:
                continue
            profile, pod = both
            self._seen[one.slot] = report.at
            known = self._of(profile).setdefault(one.slot.container, _Container())
            # The largest of all, so that alike pods that ask for different sizes do not take turns.
            known.asked = max(known.asked, dict(pod.requests).get(one.slot.container, 0) or one.bound)
            _add(known, one, now)
            found[profile.uid] = profile
        return list(found.values())

    def status(self, profile: Profile, now: float) -> Json | None:
        """Return the ``status`` to write for *profile*; None if that can wait. *now* is a monotonic time."""
        known = dict(sorted(self._of(profile).items())[:MOST])
        advised = {name: one.recommended(profile) for name, one in known.items() if one.asked}
        targets = {name: one.target for name, one in advised.items()}
        at, before = self._written.get(profile.uid, (now - SAVE, {}))
        is_news = targets.keys() != before.keys() or any(
            abs(size - before[name]) > NEWS * before[name] for name, size in targets.items()
        )
        if not is_news and now - at < SAVE:
            return None
        self._written[profile.uid] = (now, targets)
        return {
            "containers": [_told(name, known[name], one) for name, one in advised.items()],
            "summary": {
                "target": ", ".join(quantity.in_words(size) for size in targets.values()),
                "confidence": min((round(100 * one.confidence) for one in advised.values()), default=0),
                "containers": len(advised),
            },
        }


def _add(known: _Container, one: Bounded, at: float) -> None:
    known.demand = known.demand.added(at, one.local + one.far)
    if one.hits_local is not None and one.local:
        best = None if one.hits_best is None else one.hits_best / 1000
        known.history = known.history.added(Sample(at, one.local, one.hits_local / 1000, best))


def _told(name: str, known: _Container, one: Recommendation) -> Json:
    curve = fitted(known.history, known.demand.percentile(PEAK) or None)
    return {
        "name": name,
        "asked": known.asked,
        "recommended": {"floor": one.floor, "target": one.target, "max": one.max},
        "confidence": round(100 * one.confidence),
        "curve": [
            {"local": point.size, "slowdown": round(1000 * LATENCIES.slowdown(point.share))}
            for point in curve.points
        ],
        "history": known.history.checkpoint(),
        "demand": known.demand.checkpoint(),
    }
