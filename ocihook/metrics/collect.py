# SPDX-License-Identifier: Apache-2.0
"""The metrics for Prometheus, named by its conventions (naming, base units, ``_total``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

import ocihook
from ocihook import config
from ocihook.backends import choose
from ocihook.cgroup.names import escaped
from ocihook.control.status import Status
from ocihook.errors import BedeError
from ocihook.topology import nodes
from ocihook.watch import containers, counters

#: With the cgroup, since two containers may have the same id. Only containers of pods have the last three.
LABELS = ("container", "name", "cgroup", "namespace", "pod", "pod_container")


class _Of(NamedTuple):
    """A metric of a container: its name without the unit, the help, and whether it only grows."""

    name: str
    help: str
    total: bool = False


#: by the field of :class:`ocihook.control.status.Status`
LISTED = {
    "bound": _Of("bound_bytes", "Most local memory that the container may hold."),
    "local": _Of("local_bytes", "Local memory that the container holds."),
    "far": _Of("far_bytes", "Far memory that the container holds."),
    "overshoot": _Of(
        "overshoot_bytes",
        "Local memory beyond the bound: the most while the agent held it, or now (node_limit).",
    ),
    "stalled": _Of("stalled", "1 while nothing of a container above its bound can be demoted."),
}
#: by a field of Status, only if nothing but the agent moves pages
MOVING = {
    "program_bound": _Of("own_bytes", "Local memory that programs have placed themselves, and that stays."),
    "steered": _Of("steering", "1 where what the container allocates is steered, 0 where only moved."),
    "away": _Of("allocating_far", "1 while what the container allocates is steered to far nodes."),
}
#: by a field of Status, only if the agent has measured which pages are in use
HEAT = {
    "hits_local": _Of(
        "hits_local_ratio", "Share of the memory in use that is local, by how often it is used."
    ),
    "hits_best": _Of("hits_best_ratio", "The same share if the best pages were local."),
    "vain": _Of(
        "moved_in_vain_bytes", "Memory that the agent moved, and moved back within ten seconds.", True
    ),
}
MOVER = _Of("mover_cpu_seconds", "Processor time used to move pages, and to find out which.", True)
#: by the field of :class:`ocihook.watch.counters.Counters`
COUNTED = {
    "demoted": _Of("demoted_bytes", "Memory moved from local to far nodes.", True),
    "promoted": _Of("promoted_bytes", "Memory moved from far to local nodes.", True),
    "steered_bytes": _Of("steered_bytes", "Memory placed on a far node for the sake of the bound.", True),
    "promotion_denied": _Of("promotion_denied_bytes", "Memory not promoted for the sake of the bound.", True),
    "high": _Of(
        "memory_high_events", "Times that memory.high, Bede's fence on a stock kernel, was passed.", True
    ),
    "max": _Of("memory_max_events", "Times that memory.max was reached.", True),
    "oom_kill": _Of("oom_kills", "Processes killed for want of memory.", True),
    "stalls": _Of("stalls", "Times that nothing of a container above its bound could be demoted.", True),
}
#: by the field of :class:`ocihook.control.status.Outside`
OUTSIDE = {
    "returned": _Of("returned_processes", "Processes found outside the cgroup and put back.", True),
    "failed": _Of(
        "unreturned_processes", "Processes found outside the cgroup that could not be put back.", True
    ),
}


class Collector:
    """Measures the host at each scrape."""

    def describe(self) -> Iterable[Metric]:
        """Return no metrics: which ones there are depends on the host."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Measure the host. Yield all metrics."""
        yield InfoMetricFamily("bede_build", "The version of Bede.", {"version": ocihook.__version__})
        yield from _nodes()
        found: list[Status] = []
        up = 1
        try:
            found = containers.listing()
        except BedeError:
            up = 0
        yield GaugeMetricFamily("bede_up", "1 where the bound containers could be listed.", up)
        yield GaugeMetricFamily("bede_containers", "Bound containers.", len(found))
        yield from _families(found)


def _families(found: list[Status]) -> Iterator[Metric]:
    info = InfoMetricFamily("bede_container", "How a container's bound is held.", labels=LABELS)
    families: dict[str, Metric] = {}
    for container in found:
        # Fewer values than LABELS leave the last labels out.
        member = (container.namespace, container.pod, container.pod_container) if container.pod else ()
        labels = (container.id, container.name, escaped(container.cgroup), *member)
        info.add_metric(labels, {name: str(getattr(container, name)) for name in ("backend", "runtime")})
        for metric, value in _values(container):
            family = families.get(metric.name)
            if family is None:
                make = CounterMetricFamily if metric.total else GaugeMetricFamily
                family = families[metric.name] = make(
                    f"bede_container_{metric.name}", metric.help, labels=LABELS
                )
            family.add_metric(labels, value)  # type: ignore[attr-defined]
    yield info
    yield from families.values()


def _values(container: Status) -> Iterator[tuple[_Of, float]]:
    yield from ((metric, float(getattr(container, name))) for name, metric in LISTED.items())
    moves = choose.named(container.backend).MOVES_PAGES
    if moves:
        yield from ((metric, float(getattr(container, name))) for name, metric in MOVING.items())
    if container.hits_best is not None:
        yield from ((metric, float(getattr(container, name))) for name, metric in HEAT.items())
    if moves or container.hits_best is not None:
        yield MOVER, container.mover_us / 1e6
    if container.outside is not None:
        yield from ((metric, float(getattr(container.outside, name))) for name, metric in OUTSIDE.items())
    try:
        counted = counters.read(container)
    except BedeError:
        counted = None
    if counted is None:
        return  # the container ended just now
    fields = counted._asdict()
    yield from ((metric, float(fields[name])) for name, metric in COUNTED.items() if fields[name] is not None)
    if counted.pressure is not None:
        some, full = counted.pressure.some_us / 1e6, counted.pressure.full_us / 1e6
        yield _Of("pressure_waiting_seconds", "Time in which some task waited for memory.", True), some
        yield _Of("pressure_stalled_seconds", "Time in which all tasks waited for memory.", True), full


def _nodes() -> Iterator[Metric]:
    try:
        tiers = nodes.find(config.load().far_nodes)
    except BedeError:
        return
    labels = ("node", "tier")
    size = GaugeMetricFamily("bede_node_memory_bytes", "Memory of a node.", labels=labels)
    free = GaugeMetricFamily(
        "bede_node_available_bytes", "Of it what is free, or page cache that can be dropped.", labels=labels
    )
    for tier, members in (("local", tiers.local), ("far", tiers.far)):
        for node in members:
            available, total = nodes.room((node,))
            size.add_metric((str(node), tier), total)
            free.add_metric((str(node), tier), available)
    yield size
    yield free
