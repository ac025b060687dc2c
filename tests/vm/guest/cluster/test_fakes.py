# SPDX-License-Identifier: Apache-2.0
"""Nodes that exist in the API server alone: the scheduler counts local memory, and pods come and go."""

import json
import signal
import subprocess

import pytest
from helpers import wait_until
from pods import DEADLINE, got, kubectl

NODES, EACH = 12, 2
FAKE = "bede.dev/fake"


@pytest.fixture(scope="module", autouse=True)
def fakes():
    """The nodes, each with 8 GiB of a resource, of which two pods of 4 GiB fit."""
    served = subprocess.Popen(["bede-nodes", str(NODES), "bede.dev/local-memory=8Gi"])
    try:
        wait_until("the nodes are ready", lambda: len(ready()) == NODES, DEADLINE)
        yield
    finally:
        served.send_signal(signal.SIGTERM)
        served.wait()
        kubectl("delete", "deployment", "many", "--ignore-not-found")
        kubectl("delete", "nodes", "-l", FAKE)


def ready():
    """The names of the fake nodes to which the scheduler may give pods."""
    return [
        node["metadata"]["name"]
        for node in got("node", labels=FAKE)["items"]
        if any(
            one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", [])
        )
        and [taint["key"] for taint in node["spec"].get("taints", [])] == [FAKE]
    ]


def pods():
    return got("pod", labels="app=many")["items"]


def test_the_stock_scheduler_counts_local_memory():
    wanted = NODES * EACH + 1
    container = {
        "name": "web",
        "image": "x",
        "resources": {"limits": {"bede.dev/local-memory": "4Gi"}},
    }
    template = {
        "metadata": {"labels": {"app": "many"}},
        "spec": {
            "containers": [container],
            "tolerations": [{"key": FAKE, "operator": "Exists"}],
            "nodeSelector": {FAKE: "true"},
        },
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "many"},
        "spec": {
            "replicas": wanted,
            "selector": {"matchLabels": {"app": "many"}},
            "template": template,
        },
    }
    kubectl("create", "-f", "-", stdin=json.dumps(deployment))
    running = wait_until("all but one run", lambda: _running(wanted - 1), DEADLINE)
    per_node = {}
    for pod in running:
        per_node[pod["spec"]["nodeName"]] = per_node.get(pod["spec"]["nodeName"], 0) + 1
    assert per_node == {f"fake-{number}": EACH for number in range(NODES)}
    (left,) = [pod for pod in pods() if pod["status"]["phase"] == "Pending"]

    def told():
        conditions = got("pod", left["metadata"]["name"])["status"].get("conditions", [])
        return [
            one["message"] for one in conditions if "Insufficient bede.dev/local-memory" in one["message"]
        ]

    wait_until("the pod that does not fit says why", told, DEADLINE)
    kubectl("delete", "deployment", "many")
    wait_until("the pods are gone", lambda: not pods(), DEADLINE)


def _running(count):
    found = [pod for pod in pods() if pod["status"]["phase"] == "Running"]
    return found if len(found) == count else None
