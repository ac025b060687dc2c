# SPDX-License-Identifier: Apache-2.0
"""The controller against a stand-in for the API server: what it leaves there."""

import base64
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_apiserver import FakeApiServer, wait_until
from kubernetes import client
from prometheus_client import CollectorRegistry, generate_latest

from ocihook.cluster import pods, profiles, watching, words
from ocihook.cluster.api import Api
from ocihook.cluster.controller import pending
from ocihook.cluster.controller import trust as trust_module
from ocihook.cluster.controller.main import Controller
from ocihook.cluster.controller.metrics import Collector
from ocihook.cluster.controller.reach import Reached
from ocihook.cluster.controller.trust import CONFIGURATIONS, OVERLAP, Trust
from ocihook.cluster.controller.trust import patch as trust_patch
from ocihook.errors import ClusterError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vm/guest/lib"))

from taught import container

NODE, LOCAL, POD = "/api/v1/nodes/n1", f"{words.NODES}/n1", "/api/v1/pods/ns.p"
GIB = 1 << 30


@pytest.fixture
def put(fake: FakeApiServer) -> Callable[..., None]:
    fake.put(NODE, {"metadata": {"uid": "u1"}, "status": {"capacity": {"cpu": "4"}}})
    ready = {"type": "Ready", "status": "True"}
    status = {"total": 8 * GIB, "reserved": GIB, "conditions": [ready]}
    fake.put(LOCAL, {"metadata": {"uid": "u2"}, "spec": {"bounds": []}, "status": status})

    def put(bound: str, request: str = "1Gi", phase: str = "Running") -> None:
        meta = {"namespace": "ns", "name": "p", "uid": "u3", "annotations": {"bede.local/web": bound}}
        web = {"name": "web", "resources": {"limits": {words.RESOURCE: request}}}
        fake.put(
            POD,
            {"metadata": meta, "spec": {"nodeName": "n1", "containers": [web]}, "status": {"phase": phase}},
        )

    return put


@pytest.fixture
def running(put: Callable[..., None], api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_FIRST", 0.01)
    put("1Gi")
    controller = Controller(api)
    controller.start()
    threading.Thread(target=controller.run, daemon=True).start()


def bounds(fake: FakeApiServer) -> list[Any]:
    return [one["bytes"] for one in fake.objects[LOCAL]["spec"]["bounds"]]


@pytest.mark.usefixtures("running")
def test_a_pods_bound_reaches_its_node_as_it_changes(fake: FakeApiServer, put: Callable[..., None]) -> None:
    wait_until("the first bound is there", lambda: bounds(fake) == [GIB])
    put("512Mi")
    wait_until("the second bound is there", lambda: bounds(fake) == [GIB // 2])
    put("2Gi")  # admission refuses this, if it is there
    wait_until("it is not more than was requested", lambda: bounds(fake) == [GIB])
    put("1Gi", phase="Succeeded")
    wait_until("a pod that is over has none", lambda: bounds(fake) == [])


@pytest.mark.usefixtures("running")
def test_the_node_has_what_it_told_and_the_object_its_owner(fake: FakeApiServer) -> None:
    wait_until("it has an owner", lambda: "ownerReferences" in fake.objects[LOCAL]["metadata"])
    assert fake.objects[NODE]["status"]["capacity"] == {"cpu": "4", words.RESOURCE: str(7 * GIB)}
    fake.put(NODE, {**fake.objects[NODE], "status": {"capacity": {"cpu": "4", words.RESOURCE: "0"}}})
    wait_until(
        "a kubelet's zero is gone",
        lambda: fake.objects[NODE]["status"]["capacity"][words.RESOURCE] == str(7 * GIB),
    )


@pytest.mark.usefixtures("running")
def test_the_object_of_a_node_that_is_gone_goes_as_well(fake: FakeApiServer) -> None:
    gone = f"{words.NODES}/gone"
    fake.put(gone, {"spec": {"bounds": []}})
    wait_until("it is gone", lambda: gone not in fake.objects)
    owner = {"apiVersion": "v1", "kind": "Node", "name": "gone", "uid": "u"}
    fake.put(gone, {"metadata": {"ownerReferences": [owner]}, "spec": {"bounds": []}})
    fake.put(f"{words.NODES}/next", {"spec": {"bounds": []}})
    wait_until("another one is gone", lambda: f"{words.NODES}/next" not in fake.objects)
    assert gone in fake.objects  # Kubernetes itself removes what has an owner


@pytest.mark.usefixtures("running")
def test_a_refused_change_is_made_again(
    fake: FakeApiServer, put: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    wait_until("the first bound is there", lambda: bounds(fake) == [GIB])
    fake.refusals += [500, 503, 500]
    put("512Mi")
    wait_until("the second bound is there", lambda: bounds(fake) == [GIB // 2])
    assert "bede-controller: node n1: the API server refused: no: 500" in capfd.readouterr().err


@pytest.mark.usefixtures("running")
def test_an_event_on_the_pod_says_what_became_of_it(fake: FakeApiServer) -> None:
    wait_until("the bound is there", lambda: bounds(fake) == [GIB])
    held = {
        "podUID": "u3",
        "container": "web",
        "namespace": "ns",
        "pod": "p",
        "bound": GIB,
        "local": 1,
        "far": 1,
    }
    local = fake.objects[LOCAL]
    fake.put(LOCAL, {**local, "status": {**local["status"], "containers": [held]}})
    (event,) = wait_until("there is an event", lambda: fake.listed("/api/v1/namespaces/ns/events"))
    assert (event["reason"], event["involvedObject"]["uid"]) == ("LocalMemoryBound", "u3")


def test_the_api_server_is_told_whom_to_trust(
    fake: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = Trust(api, "bede-system")
    secret = "/api/v1/namespaces/bede-system/secrets/bede-webhook"
    trust.look()  # there is no webhook, so nobody misses its Secret
    hooks = [{"name": "a", "clientConfig": {"service": {}}}, {"name": "b", "clientConfig": {"service": {}}}]
    for path in CONFIGURATIONS:
        fake.put(path, {"webhooks": hooks})
    fake.put(secret, {"data": {}})
    with pytest.raises(ClusterError, match=r"has no ca\.crt"):
        trust.look()
    for step, (now, authority, trusted) in enumerate(
        (
            (0.0, b"one\n", b"one\n"),
            (100.0, b"two\n", b"two\none\n"),  # the webhook may still have the old certificate
            (100.0 + OVERLAP, b"two\n", b"two\n"),
            (999.0, b"two", b"two\n"),
        )
    ):
        monkeypatch.setattr(trust_module.time, "monotonic", lambda now=now: now)
        fake.put(secret, {"data": {"ca.crt": base64.b64encode(authority).decode()}})
        trust.look()
        for path in CONFIGURATIONS:
            found = {one["clientConfig"]["caBundle"] for one in fake.objects[path]["webhooks"]}
            assert found == {base64.b64encode(trusted).decode()}, step
    # Another controller, which finds what the first one has left.
    fake.put(secret, {"data": {"ca.crt": base64.b64encode(b"three\n").decode()}})
    Trust(api, "bede-system").look()
    (bundle,) = {one["clientConfig"]["caBundle"] for one in fake.objects[CONFIGURATIONS[1]]["webhooks"]}
    assert base64.b64decode(bundle) == b"three\ntwo\n"
    # And one more that comes before the webhook has the new certificate.
    Trust(api, "bede-system").look()
    (bundle,) = {one["clientConfig"]["caBundle"] for one in fake.objects[CONFIGURATIONS[1]]["webhooks"]}
    assert base64.b64decode(bundle) == b"three\ntwo\n"


def test_people_are_told_that_the_webhook_is_not_reached(
    fake: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.put("/api/v1/namespaces/bede-system/secrets/bede-webhook", {"data": {"ca.crt": "eA=="}})
    hook = {"metadata": {"uid": "u9"}, "webhooks": [{"clientConfig": {"url": "https://hook.example/pods"}}]}
    for path in CONFIGURATIONS:
        fake.put(path, hook)
    found = Reached("it is away")
    monkeypatch.setattr(trust_module, "reach", lambda asked, now: found)
    trust = Trust(api, "bede-system")
    trust.look()
    events = "/api/v1/namespaces/default/events"
    assert fake.listed(events) == []  # it may have begun a moment ago
    for _ in range(2):
        trust.look()
        (event,) = fake.listed(events)
        assert (event["reason"], event["message"], event["type"]) == (
            "WebhookUnreached",
            "it is away",
            "Warning",
        )
        assert event["involvedObject"]["kind"] == "MutatingWebhookConfiguration"
        assert event["involvedObject"]["uid"] == "u9"
    # An API server forgets events after an hour.
    fake.delete(f"{events}/{event['metadata']['name']}")
    trust.look()
    assert fake.listed(events) == []
    later = time.monotonic() + trust_module.AGAIN
    with monkeypatch.context() as patched:
        patched.setattr(trust_module.time, "monotonic", lambda: later)
        trust.look()
    assert len(fake.listed(events)) == 1
    found = Reached("", 5.0)
    trust.look()
    assert trust.reached == found
    assert len(fake.listed(events)) == 1
    # Policies have taken its place: the last that was seen of it is no figure any more.
    for path in CONFIGURATIONS:
        fake.delete(path)
    trust.look()
    assert trust.reached is None


def test_a_webhook_configuration_is_changed_where_it_has_to_be() -> None:
    assert CONFIGURATIONS[0].endswith("/mutatingwebhookconfigurations/bede")
    hooks = [
        {"clientConfig": {"caBundle": "old"}},
        {"clientConfig": {"caBundle": "new"}},
        {"clientConfig": {}},
    ]
    found = trust_patch({"metadata": {"resourceVersion": "7"}, "webhooks": hooks}, "new")
    assert [(one["op"], one["path"], one["value"]) for one in found] == [
        ("test", "/metadata/resourceVersion", "7"),
        ("add", "/webhooks/0/clientConfig/caBundle", "new"),
        ("add", "/webhooks/2/clientConfig/caBundle", "new"),
    ]
    assert trust_patch({"webhooks": hooks[1:2]}, "new") == []


PROFILE = f"{words.API}/namespaces/ns/localmemoryprofiles/web"
EVICTION = "/api/v1/namespaces/ns/pods/borrower/eviction"
LENDER, BORROWER = "/api/v1/pods/ns.lender", "/api/v1/pods/ns.borrower"


def lent(fake: FakeApiServer) -> str | None:
    found: str | None = fake.objects[NODE]["status"]["capacity"].get(words.LENT)
    return found


def tell(fake: FakeApiServer, **bounds: int) -> None:
    """Let the node report these bounds, by the pod's uid."""
    local = fake.objects[LOCAL]
    held = [
        {
            "podUID": uid,
            "container": "web",
            "namespace": "ns",
            "pod": uid,
            "bound": size,
            "local": 1,
            "far": 1,
        }
        for uid, size in bounds.items()
    ]
    fake.put(LOCAL, {**local, "status": {**local["status"], "containers": held}})


def measured(controller: Controller, bound: int) -> dict[str, float] | None:
    """The controller's figures in bytes, by their short names, once so much is bound."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(controller, Trust(Api(client.Configuration()), "bede-system")))
    lines = (line.split() for line in generate_latest(registry).decode().splitlines() if line[0] != "#")
    found = {name: float(value) for name, value in lines}
    sizes = {name[13:-6]: value for name, value in found.items() if name.endswith("_bytes")}
    return sizes if sizes["bound"] == bound else None


def profile(uid: str, size: int) -> dict[str, Any]:
    """A profile that has learned that so many bytes are needed."""
    return {
        "metadata": {"namespace": "ns", "name": "web", "uid": uid},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "mode": "Live"},
        "status": {"containers": [container("web", size, GIB, time.time())]},
    }


def borrow(fake: FakeApiServer, node: str) -> None:
    web = {"name": "web", "resources": {"limits": {words.LENT: "256Mi"}}}
    meta = {"namespace": "ns", "name": "borrower", "uid": "b", "annotations": {"bede.local/web": "256Mi"}}
    fake.put(BORROWER, {"metadata": meta, "spec": {"nodeName": node, "containers": [web]}})


def test_a_waiting_borrower_gets_what_a_lender_does_not_need(fake: FakeApiServer, put: Any, api: Api) -> None:
    fake.put(PROFILE, profile("p", GIB // 2))
    web = {"name": "web", "resources": {"limits": {words.RESOURCE: "1Gi"}}}
    meta = {"namespace": "ns", "name": "lender", "uid": "l", "labels": {"app": "web"}}
    meta["annotations"] = {"bede.local/web": "1Gi"}
    fake.put(LENDER, {"metadata": meta, "spec": {"nodeName": "n1", "containers": [web]}})
    controller = Controller(api)
    controller.start()
    threading.Thread(target=controller.run, daemon=True).start()
    wait_until("the lender has all", lambda: bounds(fake) == [GIB])
    tell(fake, l=GIB)
    assert lent(fake) is None
    borrow(fake, "")
    wait_until("the lender is asked for room", lambda: bounds(fake) == [3 * GIB // 4])
    assert lent(fake) is None  # not before it is there
    tell(fake, l=3 * GIB // 4)
    wait_until("the room is offered", lambda: lent(fake) == str(GIB // 4))
    borrow(fake, "n1")
    wait_until("the borrower has it", lambda: sorted(bounds(fake)) == [GIB // 4, 3 * GIB // 4])
    tell(fake, l=3 * GIB // 4, b=GIB // 4)
    figures = wait_until("the figures are there", lambda: measured(controller, bound=GIB))
    assert (figures["requested"], figures["lent"], figures["offered"]) == (GIB, GIB // 4, GIB // 4)
    assert (figures["total"], figures["reserved"]) == (8 * GIB, GIB)
    fake.delete(PROFILE)
    fake.put(PROFILE, profile("q", GIB))
    wait_until("the borrower is evicted", lambda: ("POST", f"{EVICTION}") in fake.asked)
    borrower = fake.objects[BORROWER]
    meta = {**borrower["metadata"], "deletionTimestamp": "2026-11-30T00:00:00Z"}
    fake.put(BORROWER, {**borrower, "metadata": meta})
    wait_until("the lender gets it back", lambda: GIB in bounds(fake))
    wait_until("nothing is offered", lambda: lent(fake) is None)


WAITING = "/api/v1/pods/ns.waiting"


def waits(fake: FakeApiServer, size: str, owned: bool) -> None:
    """A pod that no node has room for."""
    web = {"name": "web", "resources": {"limits": {words.RESOURCE: size}}}
    meta: dict[str, Any] = {"namespace": "ns", "name": "waiting", "uid": "w", "labels": {"app": "web"}}
    meta["annotations"] = {"bede.local/web": size}
    if owned:
        meta["ownerReferences"] = [{"kind": "ReplicaSet", "uid": "rs", "controller": True}]
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    fake.put(
        WAITING, {"metadata": meta, "spec": {"containers": [web]}, "status": {"conditions": [condition]}}
    )


@pytest.mark.usefixtures("running")
def test_a_pod_that_waits_for_more_than_it_needs_is_made_anew(fake: FakeApiServer) -> None:
    eviction = "/api/v1/namespaces/ns/pods/waiting/eviction"
    waits(fake, "16Gi", owned=True)
    fake.put(PROFILE, profile("p", GIB))
    wait_until("it is evicted", lambda: ("POST", eviction) in fake.asked)
    text = "it was evicted: it would be made with a smaller request, and fit"
    (event,) = wait_until("an event says why", lambda: fake.listed("/api/v1/namespaces/ns/events"))
    assert (event["reason"], event["message"]) == ("LocalMemoryEvicted", text)
    # Without admission the new one is like the old one. It is not made anew again and again.
    fake.delete(WAITING)
    waits(fake, "17Gi", owned=True)
    time.sleep(1.5)
    assert fake.asked.count(("POST", eviction)) == 1


@pytest.mark.parametrize(
    ("size", "owned", "target"),
    [("16Gi", False, GIB), ("1Gi", True, GIB), ("1Gi", True, 4 * GIB), ("16Gi", True, 0)],
)
def test_other_pods_that_wait_stay(fake: FakeApiServer, size: str, owned: bool, target: int) -> None:
    waits(fake, size, owned)
    kept = pods.keep(fake.objects[WAITING])
    assert kept is not None
    found = profiles.parse(profile("p", target)) if target else None
    assert not pending.is_too_large(kept, found)
    assert pending.is_too_large(replace(kept, owner="rs"), found) is (target == GIB and size == "16Gi")
    placed = replace(kept, owner="rs", node="n1")
    assert not pending.is_too_large(placed, profiles.parse(profile("p", GIB)))


def large(uid: str, namespace: str = "ns", owner: str = "rs") -> pods.Pod:
    return pods.Pod(namespace, uid, uid, "", GIB, 0, (), owner=owner, unschedulable=True)


def test_what_is_made_anew_in_vain_is_made_anew_less_and_less() -> None:
    """As where the owner gives its pods a bound by annotation, which no profile changes."""
    anew, now, times = pending.Anew(), 0.0, []
    made = 0
    while now < pending.LONGEST:
        for pod in anew.next([large(f"pod-{made}")], now):
            assert pod.uid == f"pod-{made}"
            made += 1
            times.append(now)
        until = anew.until()
        assert until is not None
        now = until
    assert times[:4] == [0.0, pending.PAUSE, 3 * pending.PAUSE, 7 * pending.PAUSE]
    assert len(times) < 10


def test_pods_that_have_waited_together_are_made_anew_one_after_another() -> None:
    anew, waiting, now = pending.Anew(), [large(f"pod-{number}") for number in range(5)], 0.0
    for _ in range(5):
        (pod,) = anew.next(waiting, now)
        waiting.remove(pod)
        assert anew.next(waiting, now + pending.PAUSE - 1) == []
        now += pending.PAUSE
    assert anew.next([], now) == []
    assert anew.until() is None


def test_who_names_anothers_owner_keeps_nobody_waiting() -> None:
    """Owner references are whatever a pod's maker writes."""
    anew = pending.Anew()
    assert anew.next([large("thief", namespace="other")], 0.0)
    (pod,) = anew.next([large("thief", namespace="other"), large("mine")], 1.0)
    assert pod.uid == "mine"
