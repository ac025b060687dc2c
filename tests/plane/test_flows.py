# SPDX-License-Identifier: Apache-2.0
"""From what a person writes to what a node is told: requests, loans, profiles, drains.

What a node makes of it is tested in the machine (tests/vm/guest/cluster).
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from bede_plane import FAKE, PODS, System, amount, pod, wait_until

from ocihook.cluster import words
from ocihook.cluster.api import MERGE, NOT_FOUND, RefusedError

MIB = 1 << 20
EACH = 256 * MIB
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest.fixture(scope="module", autouse=True)
def running(system: System) -> Iterator[None]:
    system.run(2, EACH)
    yield


@pytest.fixture(autouse=True)
def empty(system: System) -> Iterator[None]:
    """Nothing is left of a test."""
    yield
    for path in (DEPLOYMENTS, PODS, f"{words.API}/namespaces/default/localmemoryprofiles"):
        for one in system.items(path):
            system.delete(f"{path}/{one['metadata']['name']}")
    wait_until("no pod is left", lambda: not system.items(PODS))
    wait_until("no bound is left", lambda: not told(system))
    wait_until("nothing is lent", lambda: not lent(system))


def told(system: System) -> dict[tuple[str, str], int]:
    """The bounds in MiB that nodes have been told, by pod and container."""
    names = {one["metadata"]["uid"]: one["metadata"]["name"] for one in system.items(PODS)}
    return {
        (names.get(one["podUID"], "?"), one["container"]): one["bytes"] // MIB
        for local in system.items(words.NODES)
        for one in local["spec"]["bounds"]
    }


def lent(system: System) -> int:
    return sum(amount(one["status"], words.LENT) for one in system.items("/api/v1/nodes", labelSelector=FAKE))


def make(system: System, name: str, app: str = "plain", **resources: str) -> dict[str, Any]:
    return system.api.send("POST", PODS, pod(name, app, **resources))


def lending(system: System, name: str, size: int) -> None:
    """A pod that keeps its request by its own word, whatever was learned."""
    made = pod(name, "lender", **{words.RESOURCE: f"{size}Mi"})
    made["metadata"]["annotations"] = {"bede.local/web": f"{size}Mi"}
    system.api.send("POST", PODS, made)


def node_of(system: System, name: str) -> str:
    found: str = system.api.get(f"{PODS}/{name}")["spec"].get("nodeName", "")
    return found


def is_gone(system: System, name: str) -> bool:
    try:
        return "deletionTimestamp" in system.api.get(f"{PODS}/{name}")["metadata"]
    except RefusedError as error:
        return error.status == NOT_FOUND


def why_not(system: System, name: str) -> str:
    """Why the scheduler has no node for a pod; "" if it does not say."""
    conditions = system.api.get(f"{PODS}/{name}")["status"].get("conditions", [])
    return next((one.get("message", "") for one in conditions if one["type"] == "PodScheduled"), "")


def test_each_container_of_a_pod_has_its_own_bound(system: System) -> None:
    made = pod("two", **{words.RESOURCE: "64Mi"})
    (web,) = made["spec"]["containers"]
    made["spec"]["containers"].append(
        {**web, "name": "log", "resources": {"limits": {words.RESOURCE: "8Mi"}}}
    )
    made["spec"]["containers"].append({"name": "free", "image": "x"})
    found = system.api.send("POST", PODS, made)
    assert found["spec"]["runtimeClassName"] == words.CLASS
    wait_until("its node is told", lambda: told(system) == {("two", "web"): 64, ("two", "log"): 8})
    wait_until("it has events", lambda: len(system.events("two", "LocalMemoryBound")) == 2)


def test_the_stock_scheduler_counts(system: System) -> None:
    for number in range(3):
        make(system, f"large-{number}", **{words.RESOURCE: "200Mi"})
    wait_until("one waits", lambda: sum(bool(why_not(system, f"large-{n}")) for n in range(3)) >= 1)
    waiting = [f"large-{n}" for n in range(3) if not node_of(system, f"large-{n}")]
    (left,) = waiting
    wait_until("it says why", lambda: f"Insufficient {words.RESOURCE}" in why_not(system, left))
    others = {node_of(system, f"large-{n}") for n in range(3)} - {""}
    assert others == {"fake-0", "fake-1"}


def test_what_is_not_needed_is_lent_until_it_is(system: System) -> None:
    system.learned("lender", "web", 32)
    for number in range(2):
        lending(system, f"lender-{number}", 256)
    wait_until("nodes are told", lambda: sorted(told(system).values()) == [256, 256])
    began = time.monotonic()
    make(system, "borrower", **{words.LENT: "128Mi"})
    node = wait_until("it has a node", lambda: node_of(system, "borrower"))
    print(f"from pending to a node with room: {time.monotonic() - began:.1f} s")
    (lender,) = [f"lender-{number}" for number in range(2) if node_of(system, f"lender-{number}") == node]
    assert told(system)[lender, "web"] == 128
    wait_until("its node is told", lambda: told(system).get(("borrower", "web")) == 128)
    # Without a profile it lends nothing any more.
    patch = {"metadata": {"labels": {"app": "other"}}}
    system.api.send("PATCH", f"{PODS}/{lender}", patch, MERGE)
    wait_until("the borrower has to go", lambda: is_gone(system, "borrower"))
    wait_until("the lender has all again", lambda: told(system).get((lender, "web")) == 256)


def test_a_borrower_with_init_containers_stays(system: System) -> None:
    system.learned("lender", "web", 32)
    for number in range(2):
        lending(system, f"lender-{number}", 256)
    wait_until("nodes are told", lambda: sorted(told(system).values()) == [256, 256])
    made = pod("chain", **{words.LENT: "128Mi"})
    (web,) = made["spec"]["containers"]
    made["spec"]["initContainers"] = [{**web, "name": name} for name in ("one", "two", "three")]
    system.api.send("POST", PODS, made)
    wait_until("its node is told", lambda: told(system).get(("chain", "three")) == 128)
    time.sleep(2)
    assert not is_gone(system, "chain")
    assert told(system)["chain", "web"] == 128


def test_a_profile_that_is_not_live_changes_no_running_pod(system: System) -> None:
    system.learned("lender", "web", 32)
    path = f"{words.API}/namespaces/default/localmemoryprofiles/lender"
    system.api.send("PATCH", path, {"spec": {"mode": "Initial"}}, MERGE)
    lending(system, "lender", 256)
    make(system, "borrower", **{words.LENT: "64Mi"})
    wait_until("it says why", lambda: f"Insufficient {words.LENT}" in why_not(system, "borrower"))
    time.sleep(3)
    assert not lent(system)
    assert told(system) == {("lender", "web"): 256}


def test_a_pod_that_waits_for_more_than_it_needs_is_made_anew(system: System) -> None:
    template = pod("anew", "anew", **{words.RESOURCE: "512Mi"})
    del template["metadata"]["name"]
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "anew"}}, "template": template}
    system.api.send("POST", DEPLOYMENTS, {"metadata": {"name": "anew"}, "spec": spec})

    def pods() -> list[dict[str, Any]]:
        return system.items(PODS, labelSelector="app=anew")

    first = wait_until(
        "it waits", lambda: [one for one in pods() if why_not(system, one["metadata"]["name"])]
    )
    system.learned("anew", "web", 32)
    wait_until("another one runs", lambda: any(one["status"].get("phase") == "Running" for one in pods()))
    (now,) = [one for one in pods() if "deletionTimestamp" not in one["metadata"]]
    assert now["metadata"]["uid"] != first[0]["metadata"]["uid"]
    assert now["metadata"]["annotations"][words.ASKED] == "web=512Mi"
    wait_until("its node is told", lambda: 30 <= sum(told(system).values()) <= 33)


def test_a_node_that_is_drained_and_deleted_leaves_nothing(system: System) -> None:
    make(system, "moves", **{words.RESOURCE: "64Mi"})
    node = wait_until("it has a node", lambda: node_of(system, "moves"))
    wait_until("its node is told", lambda: told(system) == {("moves", "web"): 64})
    done = system.plane.kubectl("drain", node, "--force", "--ignore-daemonsets", "--timeout=30s")
    assert done.returncode == 0, done.stderr
    wait_until("its bound is gone", lambda: not told(system))
    assert system.plane.kubectl("uncordon", node).returncode == 0


def test_a_profile_that_contradicts_itself_is_told_of(system: System) -> None:
    def bound() -> str:
        made = system.api.send("POST", f"{PODS}?dryRun=All", pod("next", "wrong", **{words.RESOURCE: "64Mi"}))
        return str(made["metadata"]["annotations"]["bede.local/web"])

    system.learned("wrong", "web", 32)
    wait_until("pods get what was learned", lambda: bound() == "32Mi")
    wrong = {"spec": {"minimum": "2Gi", "maximum": "1Gi"}}
    system.api.send("PATCH", f"{words.API}/namespaces/default/localmemoryprofiles/wrong", wrong, MERGE)
    (told,) = wait_until("it has an event", lambda: system.events("wrong", "LocalMemoryProfileRefused"))
    assert told == "the minimum, 2Gi, is above the maximum, 1Gi: nothing is learned or recommended"
    wait_until("pods get what they request", lambda: bound() == "64Mi")
