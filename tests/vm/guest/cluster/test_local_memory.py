# SPDX-License-Identifier: Apache-2.0
"""Local memory as a resource: requested in a pod, counted by the stock scheduler, held, and changed."""

import json
import subprocess
import time
from pathlib import Path

import bede_system
import pytest
from asking import asking, create, held, pod, told
from bede_system import NAMESPACE, NODE, RESOURCE
from helpers import MIB, run, sample, slack, wait_until
from pods import DEADLINE, got, kubectl, steady

pytestmark = pytest.mark.usefixtures("installed")


def events(of, reason):
    """The texts of a pod's events."""
    found = got("event", fields=f"involvedObject.name={of.name},reason={reason}")
    return [one["message"] for one in found["items"]]


def test_a_node_offers_what_it_has():
    status = bede_system.local()
    assert status["total"] - status["reserved"] == bede_system.capacity()
    with open("/sys/devices/system/node/node0/meminfo") as meminfo:
        (total,) = [int(line.split()[3]) * 1024 for line in meminfo if "MemTotal:" in line]
    assert status["total"] == total
    assert got("nodelocalmemory", NODE)["metadata"]["ownerReferences"][0]["kind"] == "Node"
    line = kubectl("get", "nodelocalmemory", "--no-headers").split()
    assert (line[0], line[-2]) == (NODE, "True")


def test_requests_become_bounds_and_follow_the_annotation():
    with pod("asks", asking("web", 128, "64Mi"), asking("log", 64, "24Mi"), steady("free", 16)) as made:
        made.full("web", "log", "free")
        spec = got("pod", "asks")
        assert spec["spec"]["runtimeClassName"] == "bede"
        assert spec["metadata"]["annotations"]["bede.local/web"] == "64Mi"
        held(made, "web", 64)
        held(made, "log", 24)
        wait_until("the node reports both", lambda: told(made) == {"web": 64, "log": 24}, DEADLINE)
        wait_until("the pod has events", lambda: len(events(made, "LocalMemoryBound")) == 2, DEADLINE)
        began = time.monotonic()
        kubectl("annotate", "--overwrite", "pod", "asks", "bede.local/web=32M")
        full = 32 * MIB + slack(32 * MIB)
        wait_until("the kernel has the new bound", lambda: sample(made.cgroup("web"))[0] <= full, DEADLINE)
        print(f"from the annotation to the kernel: {time.monotonic() - began:.1f} s")
        wait_until("the node reports it", lambda: told(made) == {"web": 32, "log": 24}, DEADLINE)
        kubectl("annotate", "--overwrite", "pod", "asks", "bede.local/web=64Mi")
        wait_until("the node reports the first one", lambda: told(made) == {"web": 64, "log": 24}, DEADLINE)
        refused = run("kubectl", "annotate", "--overwrite", "pod", "asks", "bede.local/web=65Mi")
        assert "65Mi is more than the 64Mi that it requested" in refused.stderr
        kubelets_restart(made)
    wait_until("the node reports none", lambda: not bede_system.local()["containers"], DEADLINE)


def kubelets_restart(made):
    """A kubelet that finds no plugins takes the node for a new one, were it not for Bede's mark."""
    before = bede_system.capacity()
    mark = Path("/var/lib/kubelet/device-plugins/bede.dev")
    mark.rmdir()
    wait_until("somebody has made it again", mark.is_dir, DEADLINE)
    empty = "find /var/lib/kubelet/device-plugins -type f -delete"
    script = f"systemctl stop kubelet; {empty}; systemctl start kubelet"
    for _ in range(2):
        beats = got("node", NODE)["status"]["conditions"]
        assert run("sh", "-c", script).returncode == 0
        wait_until(
            "the kubelet tells", lambda b=beats: got("node", NODE)["status"]["conditions"] != b, DEADLINE
        )
        assert bede_system.capacity() == before
        wait_until("the kubelet knows what is mounted", knows_volumes, DEADLINE)
    assert got("pod", made.name)["status"]["phase"] == "Running"
    assert made.status("web")["restartCount"] == 0


def knows_volumes():
    """Whether the kubelet has found all volumes of its pods again.

    One of 1.20 that has to delete a pod before that leaves its Secret mounted, and its cgroup for ever.
    """
    lines = run("kubectl", "get", "--raw", f"/api/v1/nodes/{NODE}/proxy/metrics").stdout.splitlines()
    told = [line for line in lines if line.startswith("volume_manager_total_volumes{")]
    wanted, found = (
        sum(float(line.split()[-1]) for line in told if f'"{state}_state_of_world"' in line)
        for state in ("desired", "actual")
    )
    return wanted == found > 0


def test_the_stock_scheduler_says_what_does_not_fit():
    free = bede_system.capacity() // MIB
    with pod("large", asking("web", 16, f"{free - 64}Mi")) as first:
        first.full("web")
        with pod("more", asking("web", 16, "128Mi")):

            def why():
                conditions = got("pod", "more")["status"].get("conditions", [])
                return [one for one in conditions if f"Insufficient {RESOURCE}" in one.get("message", "")]

            wait_until("the second one is said not to fit", why, DEADLINE)


@pytest.mark.parametrize(
    ("annotations", "request_", "why"),
    [
        ({}, "1Mi", "less than the least bound"),
        ({"bede.local": "32M"}, "64Mi", "requests 64Mi"),
        ({"bede.local/wbe": "32M"}, "", "for no container of the pod"),
        ({"bede.locl": "32M"}, "", "is not one of Bede's"),
    ],
)
def test_a_mistake_is_refused_in_one_line(annotations, request_, why):
    made = pod("wrong", asking("web", 16, request_) if request_ else steady("web", 16))
    made.spec["metadata"]["annotations"] = annotations
    done = create(made.spec)
    assert done.returncode != 0
    assert why in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_node_may_do_nothing_else():
    account = f"--as=system:serviceaccount:{NAMESPACE}:bede-node"
    for verb, what, may in (
        ("get", "nodelocalmemories", "yes"),
        ("patch", "nodelocalmemories --subresource=status", "yes"),
        ("patch", "nodelocalmemories", "no"),
        ("list", "pods", "no"),
        ("get", "secrets", "no"),
        ("patch", "nodes", "no"),
    ):
        assert run("kubectl", "auth", "can-i", verb, *what.split(), account).stdout.strip() == may, (
            verb,
            what,
        )
    other = {
        "apiVersion": "bede.dev/v1alpha1",
        "kind": "NodeLocalMemory",
        "metadata": {"name": "other"},
        "spec": {"bounds": []},
    }
    words = ["kubectl", "create", "-f", "-", account]
    done = subprocess.run(words, input=json.dumps(other), capture_output=True, text=True, check=False)
    assert "a node may only write about itself" in done.stderr
