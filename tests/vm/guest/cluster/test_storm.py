# SPDX-License-Identifier: Apache-2.0
"""Two hundred pods that come, go, change, borrow and lend, on nodes that only the API server has.

The nodes are a mock (`bede-nodes`); scheduler, API server, bede-controller and bede-webhook are real.
"""

import json
import random
import signal
import subprocess
import sys
import time

import bede_system
import pytest
from bede_system import LENT, RESOURCE
from helpers import MIB, wait_until
from pods import DEADLINE, kubectl

sys.path.insert(0, "/usr/lib/bede-vm")

from cluster_api import Api, RefusedError

NODES, EACH, PODS, SECONDS = 10, 1024 * MIB, 200, 120
FAKE = "bede.dev/fake"
PATH = "/api/v1/namespaces/default/pods"
LOCALS = "/apis/bede.dev/v1alpha1/nodelocalmemories"


@pytest.fixture(scope="module", autouse=True)
def fakes():
    bede_system.install()
    served = subprocess.Popen(["bede-nodes", str(NODES), f"local={EACH}"])
    try:
        wait_until("the nodes offer local memory", lambda: len(offering()) == NODES, DEADLINE)
        bede_system.learned("lender", "web", 16)
        yield
    finally:
        served.send_signal(signal.SIGTERM)
        served.wait()
        kubectl("delete", "pods", "-l", "storm", "--grace-period=0", "--force", "--wait=false")
        kubectl("delete", "nodes", "-l", FAKE)


def offering():
    found = Api().ask("GET", f"/api/v1/nodes?labelSelector={FAKE}")["items"]
    return [one for one in found if int(one["status"].get("capacity", {}).get(RESOURCE, 0))]


def spec(number, kind, size):
    labels = {"storm": "1", "app": kind}
    web = {
        "name": "web",
        "image": "x",
        "resources": {"limits": {LENT if kind == "borrower" else RESOURCE: f"{size}Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"storm-{number}", "labels": labels},
        "spec": {
            "containers": [web],
            "tolerations": [{"key": FAKE, "operator": "Exists"}],
            "nodeSelector": {FAKE: "true"},
            "terminationGracePeriodSeconds": 0,
        },
    }


def act(api, number, alive):
    """One thing that a user does."""
    if len(alive) < PODS and random.random() < 0.7:
        kind = random.choice(("lender", "lender", "plain", "borrower"))
        api.ask("POST", PATH, spec(number, kind, random.choice((16, 32, 64, 128))))
        alive[f"storm-{number}"] = kind
    elif alive:
        name = random.choice(sorted(alive))
        if random.random() < 0.4:
            patch = {"metadata": {"annotations": {"bede.local/web": f"{random.choice((8, 16))}Mi"}}}
            api.ask("PATCH", f"{PATH}/{name}", patch, "application/merge-patch+json")
        else:
            del alive[name]
            api.ask("DELETE", f"{PATH}/{name}", {"gracePeriodSeconds": 0})


def check(api):
    """Check what has to hold at each moment, by what the API server says. Returns how many pods borrow."""
    # Pods first: whoever comes later is in the capacity, but not in this list.
    pods = api.ask("GET", f"{PATH}?labelSelector=storm")["items"]
    nodes = {one["metadata"]["name"]: one for one in offering()}
    locals = {one["metadata"]["name"]: one for one in api.ask("GET", LOCALS)["items"]}
    assert [one["metadata"]["name"] for one in pods if one["status"].get("phase") == "Failed"] == []
    borrowers = 0
    for name, node in nodes.items():
        here = [
            one
            for one in pods
            if one["spec"].get("nodeName") == name and "deletionTimestamp" not in one["metadata"]
        ]
        asked = sum(amount(one, RESOURCE) for one in here)
        assert int(node["status"]["capacity"][RESOURCE]) >= asked
        held = sum(one["bound"] for one in locals[name]["status"].get("containers", []))
        assert held <= EACH
        assert sum(one["bytes"] for one in locals[name]["spec"]["bounds"]) <= EACH
        borrowers += sum(amount(one, LENT) > 0 for one in here)
    return borrowers


def amount(pod, resource):
    """What a pod requests of a resource, in bytes."""
    texts = (one["resources"].get("requests", {}).get(resource, "0") for one in pod["spec"]["containers"])
    return sum(int(text[:-2]) * MIB if text.endswith("Mi") else int(text) for text in texts)


def test_whatever_comes_the_bounds_fit_and_no_pod_fails():
    random.seed(16)
    api, alive, borrowed, checks = Api(), {}, 0, 0
    end = time.monotonic() + SECONDS * 4
    number = 0
    while number < 600 and time.monotonic() < end:
        began = time.monotonic()
        while time.monotonic() - began < 1:
            number += 1
            try:
                act(api, number, alive)
            except RefusedError as error:
                assert error.status in (404, 409, 422), error
        borrowed = max(borrowed, check(api))
        checks += 1
    print(f"{number} changes, {checks} checks, {len(alive)} pods at the end, {borrowed} borrowed at most")
    assert number >= 400
    assert borrowed > 0
    wait_until("all is quiet, and fits", lambda: check(api) >= 0, DEADLINE)


def test_nothing_is_left_of_them():
    kubectl("delete", "pods", "-l", "storm", "--grace-period=0", "--force", "--wait=false")
    wait_until(
        "no bounds are left",
        lambda: not any(one["spec"]["bounds"] for one in Api().ask("GET", LOCALS)["items"]),
        DEADLINE,
    )
    wait_until(
        "nothing is offered",
        lambda: not any(LENT in one["status"]["capacity"] for one in offering()),
        DEADLINE,
    )
    assert json.loads(kubectl("get", "pods", "-l", "storm", "-o", "json"))["items"] == []
