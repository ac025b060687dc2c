# SPDX-License-Identifier: Apache-2.0
"""Figures of the whole cluster for Prometheus. Each node's containers are in its own `bede metrics`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from ocihook import clients
from ocihook.cluster import words
from ocihook.cluster.controller import per_node
from ocihook.cluster.controller.main import PROGRAM, Controller
from ocihook.cluster.controller.trust import Trust
from ocihook.metrics.server import Server


class Collector:
    """Reads what the controller knows, at each scrape."""

    def __init__(self, controller: Controller, trust: Trust) -> None:
        self._controller, self._trust = controller, trust

    def describe(self) -> Iterable[Metric]:
        """Return no metrics: nothing is known before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        known = self._controller.known()
        reports = [one.report for one in known.locals if one.report is not None]
        yield GaugeMetricFamily("bede_cluster_nodes", "Nodes that report local memory.", len(reports))
        unready = sum(not one.ready.holds for one in reports)
        yield GaugeMetricFamily(
            "bede_cluster_unready_nodes", "Of them those that cannot hold bounds.", unready
        )
        held = [container for one in reports for container in one.containers]
        offered = sum(size for node in known.nodes for name, size, _ in node.resources if name == words.LENT)
        sizes = {
            "total": ("Local memory of all nodes.", sum(one.total for one in reports)),
            "reserved": ("Of it what no bound may use.", sum(one.reserved for one in reports)),
            "requested": (
                "Local memory that pods on nodes have requested.",
                sum(one.request for one in known.pods),
            ),
            "bound": ("The sum of all bounds of pods.", sum(one.bound for one in held)),
            "used": ("Local memory that bound containers hold.", sum(one.local for one in held)),
            "offered": ("Lent memory that nodes offer.", offered),
            "lent": ("Of it what pods have requested.", sum(one.lent for one in known.pods)),
        }
        for name, (text, size) in sizes.items():
            yield GaugeMetricFamily(f"bede_cluster_{name}_bytes", text, size)
        yield GaugeMetricFamily(
            "bede_cluster_bound_pods", "Pods on nodes that have a bound.", len(known.pods)
        )
        suffering = sum(one.suffers > 0 for one in held)
        text = "Containers that suffer from too little local memory."
        yield GaugeMetricFamily("bede_cluster_suffering_containers", text, suffering)
        yield from per_node.collect(known)
        text = "Whether this controller acts; others wait for their turn."
        yield GaugeMetricFamily("bede_controller_acts", text, int(known.acts))
        text = "Looks at nodes that have failed, and were or will be repeated."
        yield CounterMetricFamily("bede_controller_errors", text, known.errors)
        text = "Nodes that wait to be looked at."
        yield GaugeMetricFamily("bede_controller_queue", text, known.queue)
        reached = self._trust.reached
        if reached is not None:
            text = "Whether the API server can ask the webhook, as far as this controller can see."
            is_well = reached.ends is not None
            yield GaugeMetricFamily("bede_webhook_reached", text, int(is_well))
            if reached.ends is not None:
                text = "When the webhook's certificate ends, in seconds after the epoch."
                yield GaugeMetricFamily("bede_webhook_certificate_end_seconds", text, reached.ends)


def serve(controller: Controller, trust: Trust, port: int) -> None:
    """Answer GET /metrics at *port*, in a thread of its own. Raises AccessError."""
    listener = clients.listen(port, "--metrics")
    server = Server(listener, PROGRAM, lambda: Collector(controller, trust))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
