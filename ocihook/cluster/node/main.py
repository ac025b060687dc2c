# SPDX-License-Identifier: Apache-2.0
"""Carries out the ``spec`` of this node's NodeLocalMemory, and reports in its ``status``."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ocihook.cluster import clock, fields, objects, profiles, words
from ocihook.cluster.api import MERGE, NOT_FOUND, Api, RefusedError
from ocihook.cluster.fields import Json
from ocihook.cluster.node import host, plan
from ocihook.cluster.node.probing import Prober
from ocihook.cluster.objects import NodeLocalMemory, Ready, Report
from ocihook.cluster.pulse import Pulse
from ocihook.cluster.watching import Backoff, Mirror, tell
from ocihook.engines import kubelet
from ocihook.errors import BedeError, ClusterError, HostError

PROGRAM = "bede-node"
SLOW = 10.0  #: seconds after which a look leaves further changes to the next one: it has to report, too
LOOK = 1.0  #: seconds between two looks at the host: a new container is reported within this
SOON = 1.0  #: seconds between two reports at least, however much happens
#: Seconds after which figures are reported that change all the time. With 5,000 nodes these are 17 a second.
OFTEN = 300.0


class Reporter:
    """Writes reports, as seldom as can be."""

    def __init__(self, api: Api, name: str) -> None:
        self._api, self._name = api, name
        self._status: Json = {}  # as it was written last
        self._last: Report | None = None
        self._due = 0.0  # by the monotonic clock
        self._not_before = 0.0
        self._backoff = Backoff()

    def send(self, report: Report) -> None:
        """Write *report*, if it says anything new or the last one is old. Raises ClusterError."""
        now = time.monotonic()
        is_new = self._last is None or _news(report) != _news(self._last)
        if now < self._not_before or not (is_new or now >= self._due):
            return
        try:
            if not self._status:
                self._status = fields.mapping(self._object(), "status")
            status = objects.status(report, self._status, clock.stamp(time.time()))
            self._write(status)
        except ClusterError:
            self._not_before = now + self._backoff.failed()
            raise
        self._backoff.worked()
        self._status, self._last = status, report
        self._not_before = now + SOON
        self._due = now + OFTEN * random.uniform(0.9, 1.1)

    def _write(self, status: Json) -> None:
        path = f"{words.NODES}/{self._name}/status"
        try:
            self._api.send("PATCH", path, {"status": status}, MERGE)
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
            self._object()
            self._api.send("PATCH", path, {"status": status}, MERGE)

    def _object(self) -> Json:
        """Return this node's object, made if it is not there."""
        try:
            return self._api.get(f"{words.NODES}/{self._name}")
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
        return self._api.send("POST", words.NODES, objects.empty(self._name))


_QUIET: dict[str, Any] = {
    **dict.fromkeys(("local", "far", "promoted", "denied"), 0),
    **dict.fromkeys(("hits_local", "hits_best")),
}


def _news(report: Report) -> Report:
    """Return *report* without the figures that change all the time."""
    quiet = (replace(one, **_QUIET) for one in report.containers)
    return replace(report, containers=tuple(quiet))


class Node:
    """This node."""

    def __init__(self, api: Api, name: str, reserve: Callable[[int], int]) -> None:
        self._reserve = reserve
        self._name = name
        self._asked = threading.Event()
        asked = {"fieldSelector": f"metadata.name={name}"}
        self._mirror: Mirror[NodeLocalMemory] = Mirror(api, words.NODES, objects.parse, self._changed, asked)
        self._api = api
        self._reporter = Reporter(api, name)
        self._prober = Prober(profiles.LATENCIES)
        self._containers: tuple[objects.Bounded, ...] = ()  # as they were seen last

    def run(self) -> None:
        """Follow the object and look at the host, until the program is told to end."""
        self._mirror.start(PROGRAM)
        try:
            self._follow()
        finally:
            self.end()

    def end(self) -> None:
        """Take back what containers have for a probe: nobody else would."""
        bounds = self._prober.end()
        if not bounds:
            return
        try:
            held, _ = host.held()
        except BedeError:
            return  # without an agent, nothing can be changed
        for change in plan.changes(held, bounds, sys.maxsize).changes:
            host.carry_out(change)

    def _follow(self) -> None:
        told = ""
        pulse = Pulse(PROGRAM)
        pulse.start()
        self._api.progress = pulse.beat
        while True:
            if kubelet.mark_is_lost():
                raise HostError(
                    f"{kubelet.MARK} among the kubelet's device plugins was removed",
                    "This program begins anew, which makes it again",
                )
            with pulse.turn():
                report = self.look(self._mirror.get(self._name))
                try:
                    self._reporter.send(report)
                    told = ""
                except ClusterError as error:
                    if error.message != told:
                        tell(PROGRAM, error.message)
                    told = error.message
            self._asked.wait(LOOK)
            self._asked.clear()

    def look(self, local: NodeLocalMemory | None) -> Report:
        """Carry out the ``spec`` of *local*, None while it is not known. Return the report."""
        memory, ready = host.memory(self._reserve)
        report = Report(memory.total, memory.reserved, ready, self._containers)
        try:
            held, others = host.held()
        except BedeError as error:
            return replace(report, ready=Ready(False, "AgentDown", error.message)) if ready.holds else report
        bounds = local.bounds if local else ()
        now = time.monotonic()
        self._prober.look(held, host.used([one for one in held if self._prober.due(one, now)], now), bounds)
        todo = plan.changes(held, self._prober.wanted(bounds), report.capacity - others)
        refused = {slot: why for slot, why in todo.refused.items() if not self._prober.refused(slot, now)}
        for change in todo.changes:
            if time.monotonic() - now > SLOW:
                break
            why = host.carry_out(change)
            if why:
                refused[plan.slot(change.container)] = why
            else:
                name = f"{change.container.namespace}/{change.container.pod}"
                tell(PROGRAM, f"{name}: {change.container.pod_container}: bound {change.size} bytes")
        if todo.changes:
            try:
                held, _ = host.held()
            except BedeError:
                return report  # the next look tells of it
        self._containers = host.reported(held, refused, self._prober.suffers)
        return replace(report, containers=self._containers, observed=local.generation if local else 0)

    def _changed(self, before: NodeLocalMemory | None, now: NodeLocalMemory | None) -> None:
        if now is not None and (before is None or before.bounds != now.bounds):
            self._asked.set()
