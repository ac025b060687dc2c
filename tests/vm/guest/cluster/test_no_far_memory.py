# SPDX-License-Identifier: Apache-2.0
"""A node without far memory: it offers none, says why, and runs all other pods."""

import bede_system
import pytest
from asking import asking, pod
from bede_system import KUBERNETES, NODE, OVERLAY, RESOURCE
from helpers import wait_until
from pods import DEADLINE, Pod, got, kubectl, steady, why_not

UNREADY = "bede.dev/unready"


@pytest.fixture(scope="module", autouse=True)
def running():
    """Bede in the cluster, whose node offers nothing."""
    kubectl("apply", "-f", str(KUBERNETES / "base/namespace.yaml"))
    bede_system.certify()
    kubectl("apply", "-k", str(OVERLAY))
    wait_until("the webhook answers", bede_system.answers, DEADLINE)
    yield
    bede_system.uninstall()


def local():
    """The node's NodeLocalMemory; empty while there is none."""
    found = [one for one in got("nodelocalmemory")["items"] if one["metadata"]["name"] == NODE]
    return found[0] if found else {}


def ready():
    """The condition Ready of the node's NodeLocalMemory; empty while there is none."""
    conditions = local().get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == "Ready"), {})


def test_it_says_why_it_offers_nothing():
    wait_until("it reports", ready, DEADLINE)
    told = ready()
    assert (told["status"], told["reason"]) == ("False", "NoFarMemory")
    assert "\n" not in told["message"]

    def taints():
        return [one["key"] for one in got("node", NODE)["spec"].get("taints", [])]

    # The controller gives an object its owner when it looks at the node.
    wait_until("the controller has seen it", lambda: "ownerReferences" in local()["metadata"], DEADLINE)
    assert UNREADY not in taints()
    assert RESOURCE not in got("node", NODE)["status"]["capacity"]


def test_a_pod_that_asks_for_it_waits_and_others_run():
    with pod("waits", asking("web", 16, "64Mi")):
        wait_until("the scheduler says why", lambda: f"Insufficient {RESOURCE}" in why_not("waits"), DEADLINE)
        with Pod("plain", {}, steady("web", 16)) as plain:
            plain.full("web")
