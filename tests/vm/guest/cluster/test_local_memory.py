# SPDX-License-Identifier: Apache-2.0
"""Local memory as a resource: requested in a pod, counted by the stock scheduler, held, and changed."""

import json
import subprocess
import time

import bede_system
import pytest
from bede_system import NAMESPACE, NODE, RESOURCE
from helpers import MIB, run, sample, slack, wait_until
from pods import DEADLINE, Pod, got, kubectl, steady


@pytest.fixture(scope="module", autouse=True)
def installed():
    bede_system.install()
    yield
    bede_system.uninstall()
    left = kubectl("api-resources", "--api-group=bede.dev", "--no-headers")
    assert left == ""
    assert "bede" not in kubectl(
        "get", "clusterroles,clusterrolebindings,mutatingwebhookconfigurations", "-o", "name"
    )


def asking(name, megabytes, request, **more):
    """A container that holds *megabytes* and requests local memory."""
    made = steady(name, megabytes)
    made["resources"] = {"limits": {RESOURCE: request}}
    return {**made, **more}


def pod(name, *containers, **more):
    """A pod as a user writes it: without a class and without annotations."""
    made = Pod(name, {}, *containers, **more)
    del made.spec["spec"]["runtimeClassName"], made.spec["metadata"]["annotations"]
    return made


def create(spec):
    """What `kubectl create` says."""
    words = ["kubectl", "create", "-f", "-"]
    return subprocess.run(words, input=json.dumps(spec), capture_output=True, text=True, check=False)


def held(of, name, bound):
    """Check by the kernel that a container holds at most *bound* MiB of local memory, and uses them."""
    local, _ = sample(of.cgroup(name))
    assert bound * MIB // 2 <= local <= bound * MIB + slack(bound * MIB)


def told(of):
    """{container: bound in MiB} of a pod, as its node reports it."""
    return {
        one["container"]: one["bound"] / MIB
        for one in bede_system.local().get("containers", [])
        if one["podUID"] == of.uid
    }


def events(of, reason):
    """The texts of a pod's events."""
    found = got("events", "--field-selector", f"involvedObject.name={of.name},reason={reason}")
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
    empty = "find /var/lib/kubelet/device-plugins -type f -delete"
    script = f"systemctl stop kubelet; {empty}; systemctl start kubelet"
    for _ in range(2):
        beats = got("node", NODE)["status"]["conditions"]
        assert run("sh", "-c", script).returncode == 0
        wait_until(
            "the kubelet tells", lambda b=beats: got("node", NODE)["status"]["conditions"] != b, DEADLINE
        )
        assert bede_system.capacity() == before
    assert got("pod", made.name)["status"]["phase"] == "Running"
    assert made.status("web")["restartCount"] == 0


def test_the_stock_scheduler_says_what_does_not_fit():
    free = bede_system.capacity() // MIB
    with pod("large", asking("web", 16, f"{free - 64}Mi")) as first:
        first.full("web")
        with pod("more", asking("web", 16, "128Mi")):

            def why():
                conditions = got("pod", "more")["status"].get("conditions", [])
                return [one for one in conditions if f"Insufficient {RESOURCE}" in one.get("message", "")]

            wait_until("the second one is said not to fit", why, DEADLINE)


def labelled(made, app):
    made.spec["metadata"]["labels"] = {"app": app}
    return made


def borrowing(name, megabytes, lent):
    """A container that holds *megabytes* and requests memory that others lend."""
    made = steady(name, megabytes)
    made["resources"] = {"limits": {bede_system.LENT: lent}}
    return made


def test_what_a_lender_does_not_need_is_lent_and_comes_back():
    bede_system.learned("lender", "web", 32)
    # What it asks for is replaced by what was learned, unless it says by an annotation what it wants.
    lender = labelled(pod("lender", steady("web", 160)), "lender")
    lender.spec["metadata"]["annotations"] = {"bede.local/web": "128Mi"}
    with lender:
        lender.full("web")
        held(lender, "web", 128)
        wait_until("the node reports it", lambda: told(lender) == {"web": 128}, DEADLINE)
        began = time.monotonic()
        with pod("borrower", borrowing("job", 96, "64Mi")) as borrower:
            borrower.full("job")
            print(f"from pending to full of what was lent: {time.monotonic() - began:.1f} s")
            held(borrower, "job", 64)
            held(lender, "web", 64)
            bede_system.learned("lender", "web", 160)
            wait_until("the borrower is gone", lambda: gone("borrower"), DEADLINE)
        wait_until("the lender has all again", lambda: told(lender) == {"web": 128}, DEADLINE)
        wait_until("nothing is offered", lambda: not bede_system.lent(), DEADLINE)
    kubectl("delete", "localmemoryprofile", "lender")


def gone(name):
    """Whether a pod is gone, or about to be."""
    found = got("pods", "--field-selector", f"metadata.name={name}")["items"]
    return not found or "deletionTimestamp" in found[0]["metadata"]


def test_a_new_pod_gets_what_was_learned():
    bede_system.learned("known", "web", 48)

    def is_known():
        found = create_dry(labelled(pod("known", asking("web", 96, "256Mi")), "known").spec)
        return "bede.dev/asked" in found and found

    made = wait_until("the webhook knows the profile", is_known, DEADLINE)
    assert made["bede.dev/asked"] == "web=256Mi"
    assert made["bede.local/web"] == "48Mi"
    with labelled(pod("known", asking("web", 96, "256Mi")), "known") as one:
        one.full("web")
        held(one, "web", 48)
    kubectl("delete", "localmemoryprofile", "known")


def create_dry(spec):
    """The annotations that admission would give to a pod."""
    words = ["kubectl", "create", "--dry-run=server", "-o", "json", "-f", "-"]
    done = subprocess.run(words, input=json.dumps(spec), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["metadata"].get("annotations", {})


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
        ("patch", "nodelocalmemories/status", "yes"),
        ("patch", "nodelocalmemories", "no"),
        ("list", "pods", "no"),
        ("get", "secrets", "no"),
        ("patch", "nodes", "no"),
    ):
        assert run("kubectl", "auth", "can-i", verb, what, account).stdout.strip() == may, (verb, what)
    other = {
        "apiVersion": "bede.dev/v1alpha1",
        "kind": "NodeLocalMemory",
        "metadata": {"name": "other"},
        "spec": {"bounds": []},
    }
    words = ["kubectl", "create", "-f", "-", account]
    done = subprocess.run(words, input=json.dumps(other), capture_output=True, text=True, check=False)
    assert "a node may only write about itself" in done.stderr


def test_a_new_authority_is_trusted():
    bede_system.certify()

    def trusted():
        secret = got("secret", "bede-webhook", "-n", NAMESPACE)["data"]["ca.crt"]
        found = got("mutatingwebhookconfiguration", "bede")["webhooks"]
        return all(one["clientConfig"].get("caBundle") == secret for one in found)

    wait_until("the API server knows it", trusted, DEADLINE)
    wait_until("the webhook answers with it", bede_system.answers, DEADLINE)


def test_without_its_programs_a_bound_stays():
    with pod("stays", asking("web", 128, "64Mi")) as made:
        made.full("web")
        for name in ("bede-node", "bede-controller", "bede-webhook"):
            kubectl(
                "delete",
                "pod",
                "-n",
                NAMESPACE,
                "-l",
                f"app.kubernetes.io/name={name}",
                "--grace-period=0",
                "--force",
            )
        held(made, "web", 64)
        wait_until("they are back", lambda: told(made) == {"web": 64} and bede_system.answers(), DEADLINE)
        kubectl("annotate", "--overwrite", "pod", "stays", "bede.local/web=48M")
        wait_until("the bound follows again", lambda: told(made) == {"web": 48}, DEADLINE)
