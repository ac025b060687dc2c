# SPDX-License-Identifier: Apache-2.0
"""Figures of each node, and of the containers that suffer, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ocihook.cluster import words
from ocihook.cluster.controller.main import Known
from ocihook.cluster.controller.plan import Node
from ocihook.cluster.objects import Report
from ocihook.cluster.pods import Pod

_SIZES = {
    "total": "Local memory of the node.",
    "reserved": "Of it what no bound may use.",
    "capacity": "What its pods may request, as the scheduler has it.",
    "requested": "What its pods have requested.",
    "bound": "The sum of all bounds of its pods.",
    "used": "Local memory that its bound containers hold.",
    "far": "Far memory that its bound containers hold.",
    "offered": "Lent memory that it offers.",
    "lent": "Of it what its pods have requested.",
}
_SUFFERING = ("node", "namespace", "pod", "container")


def collect(known: Known) -> Iterator[Metric]:
    """Yield the metrics of the nodes that report local memory."""
    pods: dict[str, list[Pod]] = {}
    for pod in known.pods:
        pods.setdefault(pod.node, []).append(pod)
    nodes = {one.name: one for one in known.nodes}
    sizes = {
        what: GaugeMetricFamily(f"bede_cluster_node_{what}_bytes", text, labels=["node"])
        for what, text in _SIZES.items()
    }
    ready = GaugeMetricFamily("bede_cluster_node_ready", "Whether it can hold bounds.", labels=["node"])
    text = "Of a container that suffers: the share of its far hits that a quarter more would save."
    suffering = GaugeMetricFamily("bede_cluster_suffering_ratio", text, labels=_SUFFERING)
    for local in known.locals:
        report, here = local.report, pods.get(local.name, [])
        if report is None:
            continue
        ready.add_metric([local.name], int(report.ready.holds))
        for what, size in _sizes(report, nodes.get(local.name), here).items():
            sizes[what].add_metric([local.name], size)
        # Of its own pods alone, and each once: a node may report anything, and Prometheus takes nothing at
        # all where something is there twice.
        slots = {bound.slot: pod for pod in here for bound in pod.bounds}
        suffers = {one.slot: one.suffers for one in report.containers if one.suffers and one.slot in slots}
        for slot, share in suffers.items():
            pod = slots[slot]
            suffering.add_metric((local.name, pod.namespace, pod.name, slot.container), share / 1000)
    yield from (*sizes.values(), ready, suffering)


def _sizes(report: Report, node: Node | None, pods: list[Pod]) -> dict[str, int]:
    return {
        "total": report.total,
        "reserved": report.reserved,
        "capacity": node.has(words.RESOURCE) if node else 0,
        "requested": sum(pod.request for pod in pods),
        "bound": sum(one.bound for one in report.containers),
        "used": sum(one.local for one in report.containers),
        "far": sum(one.far for one in report.containers),
        "offered": node.has(words.LENT) if node else 0,
        "lent": sum(pod.lent for pod in pods),
    }
