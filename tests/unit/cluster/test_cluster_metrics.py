# SPDX-License-Identifier: Apache-2.0
"""The controller's figures of each node, and the dashboard that shows them."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from prometheus_client import CollectorRegistry, generate_latest

from ocihook.cluster import words
from ocihook.cluster.api import Api
from ocihook.cluster.controller.main import Controller, Known
from ocihook.cluster.controller.metrics import Collector
from ocihook.cluster.controller.plan import Node
from ocihook.cluster.controller.reach import Reached
from ocihook.cluster.controller.trust import Trust
from ocihook.cluster.objects import Bound, Bounded, NodeLocalMemory, Ready, Report, Slot
from ocihook.cluster.pods import Pod

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/prometheus"
COMPATIBILITY = EXAMPLES.parents[1] / "docs/compatibility.md"
DASHBOARD: dict[str, Any] = json.loads((EXAMPLES / "grafana-cluster.json").read_text())
WEB, LOG = Slot("u1", "web"), Slot("u1", "log")
SUFFERING = 'bede_cluster_suffering_ratio{container="web",namespace="ns",node="n1",pod="p"} 0.4'


def pod(uid: str, node: str, request: int, lent: int = 0) -> Pod:
    bounds = (Bound(Slot(uid, "web"), request + lent, request),)
    return Pod("ns", f"p{uid[2:]}", uid, node, request, lent, bounds)


def bounded(slot: Slot, suffers: int = 0, pod: str = "p") -> Bounded:
    return Bounded(slot, "ns", pod, 100, 40, 7, suffers=suffers)


def known(*containers: Bounded) -> Known:
    """Two nodes, of which the second cannot hold bounds, and a third that reports nothing."""
    holds, not_now = Ready(True, "HoldsBounds", ""), Ready(False, "AgentDown", "")
    resources = ((words.RESOURCE, 900, 900), (words.LENT, 50, 50))
    return Known(
        [Node("n1", "1", resources, False), Node("n2", "2", (), True), Node("n3", "3", (), False)],
        [
            NodeLocalMemory("n1", report=Report(1000, 100, holds, containers)),
            NodeLocalMemory("n2", report=Report(500, 0, not_now)),
            NodeLocalMemory("n3"),
        ],
        [pod("u1", "n1", 300), pod("u1b", "n1", 200, lent=30), pod("u2", "n2", 8)],
        errors=3,
        queue=2,
        acts=True,
    )


def told(monkeypatch: pytest.MonkeyPatch, now: Known) -> list[str]:
    """What Prometheus reads of a controller that knows this."""
    api = Api(client.Configuration())
    controller, trust = Controller(api), Trust(api, "bede-system")
    trust.reached = Reached("", 1.8e9)
    monkeypatch.setattr(controller, "known", lambda: now)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(controller, trust))
    return generate_latest(registry).decode().splitlines()


@pytest.mark.parametrize("what", ["the cluster, at each `bede-controller`", "each node of it"])
def test_what_is_promised_is_there(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    lines = told(monkeypatch, known(bounded(WEB, suffers=400), bounded(LOG)))
    (row,) = re.findall(rf"(?m)^\| {re.escape(what)} \| (.*) \|$", COMPATIBILITY.read_text())
    promised = set(re.findall(r"`([^`]+)`", row))
    assert promised
    assert promised - {re.split(r"[ {]", line)[0] for line in lines} == set()


def test_each_node_has_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(monkeypatch, known(bounded(WEB, suffers=400), bounded(LOG)))
    sizes = {"total": 1000, "reserved": 100, "capacity": 900, "requested": 500, "bound": 200, "used": 80}
    for name, size in {**sizes, "far": 14, "offered": 50, "lent": 30}.items():
        assert f'bede_cluster_node_{name}_bytes{{node="n1"}} {float(size)}' in lines
    assert 'bede_cluster_node_requested_bytes{node="n2"} 8.0' in lines
    assert 'bede_cluster_node_capacity_bytes{node="n2"} 0.0' in lines
    assert {line for line in lines if line.startswith("bede_cluster_node_ready")} == {
        'bede_cluster_node_ready{node="n1"} 1.0',
        'bede_cluster_node_ready{node="n2"} 0.0',
    }
    assert not any('node="n3"' in line for line in lines)
    assert [line for line in lines if line.startswith("bede_cluster_suffering_ratio")] == [SUFFERING]
    assert "bede_controller_acts 1.0" in lines


def test_no_node_spoils_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells of a container twice, of one that its pod has not, and of another node's pod."""
    lies = (bounded(WEB, 400), bounded(WEB, 400, "other"), bounded(LOG, 9), bounded(Slot("u2", "web"), 9))
    lines = told(monkeypatch, known(*lies))
    assert [line for line in lines if line.startswith("bede_cluster_suffering_ratio")] == [SUFFERING]
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(series) == len(set(series))


def test_a_controller_that_waits_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "bede_controller_acts 0.0" in told(monkeypatch, known()._replace(acts=False))
    assert Controller(Api(client.Configuration())).known().acts is False


def expressions() -> list[tuple[str, str]]:
    """(expression, legend) of each target."""
    found = [(one["expr"], one["legendFormat"]) for panel in DASHBOARD["panels"] for one in panel["targets"]]
    queries = [one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    return found + [(query, "") for query in queries]


def test_the_dashboard_asks_for_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    labels: dict[str, set[str]] = {}
    for line in told(monkeypatch, known(bounded(WEB, suffers=400))):
        found = re.fullmatch(r"(bede_\w+)(?:\{(.*)\})? \S+", line)
        if found:
            labels[found[1]] = set(re.findall(r'(\w+)="', found[2] or ""))
    asked = set()
    for expression, legend in expressions():
        names = set(re.findall(r"bede_\w+", expression))
        assert names
        assert names <= labels.keys(), expression
        asked |= names
        wanted = set(re.findall(r"\{\{(\w+)\}\}", legend)) | set(re.findall(r"(\w+)=~", expression))
        for name in names:
            assert wanted - {"instance"} <= labels[name], expression
    # All that the controller tells is shown somewhere.
    assert labels.keys() == asked


def test_nothing_counts_twice() -> None:
    """Each controller tells the same of the cluster, so the largest is taken, never a sum."""
    for expression, _ in expressions():
        for name in re.findall(r"bede_cluster_\w+", expression):
            assert re.search(
                rf"max(?: by \([\w, ]+\))? \({name}|max\({name}|label_values\({name}", expression
            )


def test_panels_do_not_cover_each_other() -> None:
    covered: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        columns, rows = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        cells = set(itertools.product(columns, rows))
        assert not cells & covered, panel["title"]
        assert max(columns) < 24
        covered |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_dashboards_lead_to_each_other() -> None:
    other = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    assert DASHBOARD["uid"] != other["uid"]
    for one, two in itertools.permutations((DASHBOARD, other)):
        (link,) = one["links"]
        assert set(link["tags"]) <= set(two["tags"])
