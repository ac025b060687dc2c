# SPDX-License-Identifier: Apache-2.0
"""Finds out which containers suffer from too little local memory, by giving them a quarter more for a minute.

:mod:`ocihook.sizing.suffering` decides; this gives it what is counted, and keeps what a probe adds apart from
what the container is to have. What a probe adds is only lent: a node takes it back as soon as it needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ocihook.cluster.node.plan import is_same, slot
from ocihook.cluster.objects import Bound, Slot
from ocihook.control.status import Status
from ocihook.sizing import suffering
from ocihook.sizing.curve import Latencies
from ocihook.sizing.signals import Rules, Window
from ocihook.sizing.suffering import Detector, Phase

PERIOD = 10.0  #: seconds of a window, as :func:`suffering.step` recommends


class Usage(NamedTuple):
    """What is counted of a container since it began."""

    at: float  #: when it was counted, in seconds
    cpu_us: int  #: microseconds of processor time
    promoted: int  #: bytes
    denied: int  #: bytes that were not promoted for the sake of the bound


@dataclass
class _Watched:
    cgroup: str
    last: Usage
    hits: float | None = None  # as they were measured last
    detector: Detector = field(default_factory=Detector)


class Prober:
    """The detectors of a node's containers."""

    def __init__(self, latencies: Latencies) -> None:
        self._latencies = latencies
        self._watched: dict[Slot, _Watched] = {}
        self._forgotten: dict[Slot, int] = {}  # bounds before probes that lost their container

    def due(self, one: Status, now: float) -> bool:
        """Return whether :meth:`look` wants to know what *one* has used until *now*."""
        known = self._watched.get(slot(one))
        return known is None or known.cgroup != one.cgroup or now - known.last.at >= PERIOD

    def look(self, held: Sequence[Status], used: Mapping[Slot, Usage], bounds: Sequence[Bound]) -> None:
        """Take what containers have *used* since the last look; only those with *bounds* are watched."""
        ours = {one.slot: Rules(self._latencies, one.budget / 100) for one in bounds}
        self._forget([key for key in self._watched if key not in ours])
        present = {slot(one): one.bound for one in held}
        self._forgotten = {
            key: size
            for key, size in self._forgotten.items()
            if key not in ours and not is_same(present.get(key, size), size)
        }
        for one in held:
            key = slot(one)
            usage = used.get(key)
            if key not in ours or usage is None:
                continue
            known = self._watched.get(key)
            if known is None or known.cgroup != one.cgroup:
                self._watched[key] = _Watched(one.cgroup, usage)
                continue
            # The agent measures when it has to. What it has measured before says nothing of this window.
            stale = one.hits_local is not None and one.hits_local == known.hits
            if usage.at <= known.last.at or (stale and not _must_end(known.detector, usage.at)):
                continue
            window = _window(one, known.last, usage)
            known.last, known.hits = usage, one.hits_local
            if stale:
                window = replace(window, local=None, best=None)
            known.detector, _ = suffering.step(known.detector, window, ours[key])

    def wanted(self, bounds: Sequence[Bound]) -> list[Bound]:
        """Return the *bounds* with what probes add to them now, and what probes that are over have left."""
        return [one._replace(size=self._size(one)) for one in bounds] + self._left()

    def end(self) -> list[Bound]:
        """End all probes. Return the bounds that containers had before them."""
        self._forget(list(self._watched))
        return self._left()

    def _left(self) -> list[Bound]:
        return [Bound(key, size, size) for key, size in self._forgotten.items()]

    def _forget(self, keys: Sequence[Slot]) -> None:
        for key in keys:
            detector = self._watched.pop(key).detector
            if detector.phase is Phase.PROBING:
                self._forgotten[key] = detector.bound

    def _size(self, one: Bound) -> int:
        known = self._watched.get(one.slot)
        if known is None or known.detector.phase is not Phase.PROBING:
            return one.size
        if not is_same(known.detector.bound, one.size):
            return one.size
        return known.detector.probe_bound

    def refused(self, key: Slot, now: float) -> bool:
        """Note that there is no room for a probe. Return whether *key* was being probed at all."""
        known = self._watched.get(key)
        if known is None or known.detector.phase is not Phase.PROBING:
            return False
        known.detector = suffering.refused(known.detector, now)
        return True

    def suffers(self, key: Slot) -> int:
        """Return by how many thousandths a quarter more would lower its far hits; 0 if it is well."""
        known = self._watched.get(key)
        return round(1000 * known.detector.help) if known and known.detector.suffers else 0


def _must_end(detector: Detector, now: float) -> bool:
    """Return whether a probe, or the time after it, has lasted long enough, whatever was measured in it."""
    trying = detector.phase in (Phase.PROBING, Phase.CHECKING)
    return trying and now >= detector.since + suffering.PROBE


def _window(one: Status, before: Usage, now: Usage) -> Window:
    seconds = now.at - before.at
    return Window(
        at=now.at,
        seconds=seconds,
        bound=max(one.bound, 1),
        busy=max(now.cpu_us - before.cpu_us, 0) / 1e6 / seconds,
        local=one.hits_local,
        best=one.hits_best,
        promoted=max(now.promoted - before.promoted, 0),
        denied=max(now.denied - before.denied, 0),
    )
