# SPDX-License-Identifier: Apache-2.0
"""What happens while something is away, hangs, is replaced or has expired: bounds stay, and it passes."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest
from bede_plane import FAKE, PODS, System, amount, pod, wait_until

from ocihook.cluster import lease, words
from ocihook.cluster.api import MERGE, ExpiredError, RefusedError
from ocihook.errors import ClusterError

EACH = 1 << 30
NODES = 3
HOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/bede"


@pytest.fixture(scope="module", autouse=True)
def running(system: System) -> Iterator[None]:
    system.run(NODES, EACH)
    yield


@pytest.fixture
def held(system: System, request: pytest.FixtureRequest) -> Iterator[str]:
    """A pod with a bound of 64 MiB."""
    name = request.node.name.replace("_", "-").lower()[5:40].rstrip("-")
    system.api.send("POST", PODS, pod(name, **{words.RESOURCE: "64Mi"}))
    wait_until("it has its bound", lambda: bound(system, name) == 64 << 20)
    yield name
    system.delete(f"{PODS}/{name}")


def bound(system: System, name: str) -> int:
    """The bound of a pod, as its node reports it; 0 if it has none."""
    return sum(
        one["bound"]
        for local in system.items(words.NODES)
        for one in local.get("status", {}).get("containers", [])
        if one["pod"] == name
    )


def told(system: System, name: str) -> int:
    """The bound that the controller has told a pod's node."""
    uid = system.api.get(f"{PODS}/{name}")["metadata"]["uid"]
    every = (one for local in system.items(words.NODES) for one in local["spec"]["bounds"])
    return sum(one["bytes"] for one in every if one["podUID"] == uid)


def ask(system: System, name: str, size: str) -> None:
    system.api.send("PATCH", f"{PODS}/{name}", {"metadata": {"annotations": {"bede.local/web": size}}}, MERGE)


@contextlib.contextmanager
def stopped(system: System, name: str) -> Iterator[None]:
    """Stop a program, which goes on afterwards as if no time had passed."""
    process = system.running[name].pid
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_the_api_server_is_away(system: System, held: str) -> None:
    system.plane.stop("kube-apiserver")
    with pytest.raises(ClusterError):
        system.items(PODS)
    time.sleep(float(os.environ.get("BEDE_AWAY", "5")))
    system.plane.start("kube-apiserver")
    system.plane.wait("the API server", system.plane.is_ready)
    assert bound(system, held) == 64 << 20
    wait_until("the webhook answers", system.answers)
    ask(system, held, "32Mi")
    wait_until("the bound follows", lambda: bound(system, held) == 32 << 20)
    system.api.send("POST", PODS, pod("after", **{words.RESOURCE: "32Mi"}))
    wait_until("a new pod has an event", lambda: system.events("after", "LocalMemoryBound"))


def test_what_happened_meanwhile_is_not_kept_any_more(system: System, held: str) -> None:
    """410 Gone: watches begin with a new list."""
    version = system.api.get(words.NODES)["metadata"]["resourceVersion"]
    with stopped(system, "bede-controller-0"):
        # A new API server knows nothing of what was before it. Something has to have been: a version that is
        # still the newest has not expired.
        ask(system, held, "16Mi")
        system.plane.stop("kube-apiserver")
        system.plane.start("kube-apiserver")
        system.plane.wait("the API server", system.plane.is_ready)
        system.plane.compact()
        with pytest.raises(ExpiredError):
            next(system.api.watch(words.NODES, version, {}))
        assert told(system, held) == 64 << 20
    wait_until("the bound follows", lambda: bound(system, held) == 16 << 20)


def test_of_two_controllers_one_acts(system: System, held: str) -> None:
    """One is stopped, another takes over, and the first goes on: it must not act on what it knew."""
    system.start_controller(1)
    first = system.leader()
    with stopped(system, "bede-controller-0"):
        wait_until("the other one acts", lambda: system.leader() != first, 3 * lease.LASTS)
        ask(system, held, "48Mi")
        wait_until("the bound follows", lambda: bound(system, held) == 48 << 20)
    second = system.leader()
    time.sleep(lease.LASTS + lease.RETRIED)
    assert system.leader() == second
    assert bound(system, held) == 48 << 20
    system.stop("bede-controller-1", signal.SIGKILL)
    wait_until("the first one acts again", lambda: system.leader() == first, 3 * lease.LASTS)
    ask(system, held, "24Mi")
    wait_until("the bound follows", lambda: bound(system, held) == 24 << 20)


def test_the_webhook_does_not_answer(system: System, held: str) -> None:
    with stopped(system, "bede-webhook-0"):
        # Where it is not required, the pod is made as it is, ...
        made = system.api.send("POST", PODS, pod("unasked", **{words.RESOURCE: "32Mi"}))
        assert "annotations" not in made["metadata"]
        # ... and where it is, it is refused, with the reason.
        label = {"metadata": {"labels": {"bede.dev/admission": "required"}}}
        system.api.send("PATCH", "/api/v1/namespaces/default", label, MERGE)
        with pytest.raises(RefusedError, match=r"required\.pods\.bede\.dev") as refused:
            system.api.send("POST", PODS, pod("refused", **{words.RESOURCE: "32Mi"}))
        assert "\n" not in refused.value.message
        system.api.send("PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": None}}, MERGE)
        # A node cannot report meanwhile, and keeps what it has.
        assert bound(system, held) == 64 << 20
    wait_until("the webhook answers", system.answers)
    ask(system, held, "32Mi")
    wait_until("the bound follows", lambda: bound(system, held) == 32 << 20)


def complaints(system: System) -> list[str]:
    found = system.items("/api/v1/namespaces/default/events", fieldSelector="reason=WebhookUnreached")
    return [one["message"] for one in found]


def test_the_webhooks_certificate_has_expired(system: System, held: str) -> None:
    system.certify(system.plane.certificate("/CN=bede-webhook", "expired", -1))
    wait_until("admission fails", lambda: not system.answers())
    wait_until("somebody tells", lambda: any("expired" in text for text in complaints(system)), 120)
    assert bound(system, held) == 64 << 20
    system.certify(system.plane.certificate("/CN=bede-webhook", "new"))
    wait_until("the webhook answers", system.answers)
    ask(system, held, "32Mi")
    wait_until("the bound follows", lambda: bound(system, held) == 32 << 20)


def test_the_api_servers_certificate_has_expired(system: System, held: str) -> None:
    cert, key = system.plane.certificate("/CN=kube-apiserver", "apiserver-expired", -1)
    with system.plane.other("kube-apiserver", f"--tls-cert-file={cert}", f"--tls-private-key-file={key}"):
        wait_until("the controller tells", lambda: "expired" in system.log("bede-controller-0"))
    system.plane.wait("the API server", system.plane.is_ready)
    assert bound(system, held) == 64 << 20
    wait_until("the webhook answers", system.answers)
    ask(system, held, "32Mi")
    wait_until("the bound follows", lambda: bound(system, held) == 32 << 20, 120)


def test_a_node_is_renamed(system: System) -> None:
    """Its object goes with the node of its former name, even if somebody has made it again since."""
    name = f"{words.NODES}/gone"
    meta = {"name": "gone", "labels": {FAKE: "true"}}
    system.api.send("POST", "/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": meta})
    kind = {"apiVersion": f"{words.GROUP}/{words.VERSION}", "kind": words.KIND, "metadata": {"name": "gone"}}
    system.api.send("POST", words.NODES, {**kind, "spec": {"bounds": []}})

    def owned() -> bool:
        return "ownerReferences" in system.api.get(name)["metadata"]

    wait_until("it has an owner", owned)
    system.api.send("DELETE", "/api/v1/nodes/gone", {})

    def is_gone() -> bool:
        return not system.items(words.NODES, fieldSelector="metadata.name=gone")

    wait_until("it is gone", is_gone)
    system.api.send("POST", words.NODES, {**kind, "spec": {"bounds": []}})
    wait_until("it is gone again", is_gone)


def test_the_nodes_are_away(system: System, held: str) -> None:
    """The scheduler sees them fail, but nobody takes their bounds or their capacity."""
    system.stop("bede-nodes-0", signal.SIGKILL)

    def unready() -> int:
        found = system.items("/api/v1/nodes", labelSelector=FAKE)
        conditions = (one for node in found for one in node["status"]["conditions"])
        return sum(one["type"] == "Ready" and one["status"] != "True" for one in conditions)

    wait_until("the cluster sees them fail", lambda: unready() == NODES, 120)
    assert bound(system, held) == 64 << 20
    assert told(system, held) == 64 << 20
    assert all(amount(one["status"], words.RESOURCE) == EACH for one in system.offering())
    system.start_nodes(NODES, f"local={EACH}")
    wait_until("they are back", lambda: not unready())
    ask(system, held, "32Mi")
    wait_until("the bound follows", lambda: bound(system, held) == 32 << 20)
