# SPDX-License-Identifier: Apache-2.0
"""Two hundred pods that come, go, change, borrow and lend, while Bede's programs are killed.

What has to hold is read from the API server each second. Nodes are a mock (`bede-nodes`): what a kernel does
with a bound is tested in the machine.
"""

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest
from bede_plane import FAKE, PODS, System, amount, pod, requested, wait_until

from ocihook.cluster import words
from ocihook.cluster.api import MERGE, RefusedError
from ocihook.spec.annotation import MINIMUM

EACH = 1 << 30
NODES, MOST = 10, 200
#: The soak test kills each program a hundred times.
KILLS = 100 if os.environ.get("BEDE_SOAK") else 5
PAUSE = 5.0  #: seconds between two kills, in the mean
VICTIMS = ("bede-controller-0", "bede-controller-1", "bede-webhook-0")


@pytest.fixture(scope="module", autouse=True)
def running(system: System) -> Iterator[None]:
    system.run(NODES, EACH, controllers=2)
    system.learned("lender", "web", 16)
    yield


def act(system: System, number: int, alive: dict[str, str]) -> None:
    """Do one thing that a user does."""
    if len(alive) < MOST and random.random() < 0.7:
        kind = random.choice(("lender", "lender", "plain", "borrower"))
        size = f"{random.choice((32, 64, 128))}Mi"
        made = pod(f"storm-{number}", kind, **{words.LENT if kind == "borrower" else words.RESOURCE: size})
        made["metadata"]["labels"]["storm"] = "1"
        if kind == "lender":  # by its own word it keeps its request, which is more than it needs
            made["metadata"]["annotations"] = {"bede.local/web": size}
        system.api.send("POST", PODS, made)
        alive[f"storm-{number}"] = kind
    elif alive:
        name = random.choice(sorted(alive))
        if random.random() < 0.4:
            patch = {"metadata": {"annotations": {"bede.local/web": f"{random.choice((8, 16))}Mi"}}}
            system.api.send("PATCH", f"{PODS}/{name}", patch, MERGE)
        else:
            del alive[name]
            system.api.send("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})


def check(system: System) -> tuple[int, int]:
    """Check what has to hold at each moment. Returns how many pods are on nodes, and how many borrow."""
    # Pods first: whoever comes later is in the capacity, but not in this list.
    pods = system.items(PODS, labelSelector="storm")
    nodes = {one["metadata"]["name"]: one for one in system.items("/api/v1/nodes", labelSelector=FAKE)}
    locals = {one["metadata"]["name"]: one for one in system.items(words.NODES)}
    assert [one["metadata"]["name"] for one in pods if one["status"].get("phase") == "Failed"] == []
    placed = borrowers = 0
    for name, node in nodes.items():
        here = [
            one
            for one in pods
            if one["spec"].get("nodeName") == name and "deletionTimestamp" not in one["metadata"]
        ]
        assert amount(node["status"], words.RESOURCE) >= sum(requested(one, words.RESOURCE) for one in here)
        held = [one["bound"] for one in locals[name]["status"].get("containers", [])]
        told = [one["bytes"] for one in locals[name]["spec"]["bounds"]]
        for what, bounds in (("held", held), ("told", told)):
            # A borrower that has to go has the least bound until somebody has evicted it.
            most = EACH + bounds.count(MINIMUM) * MINIMUM
            assert sum(bounds) <= most, f"{name}: {what}: {sum(bounds)} of {most}: {sorted(bounds)}"
        placed += len(here)
        borrowers += sum(requested(one, words.LENT) > 0 for one in here)
    return placed, borrowers


def kill(system: System, name: str) -> None:
    """Kill one of the programs, which begins anew at once, as the kubelet would have it."""
    system.stop(name, signal.SIGKILL)
    program, _, number = name.rpartition("-")
    if program == "bede-webhook":
        system.start_webhook()
    else:
        system.start_controller(int(number))


def test_whatever_comes_the_bounds_fit_and_no_pod_fails(system: System) -> None:
    random.seed(16)
    alive: dict[str, str] = {}
    number = checks = most = borrowed = 0
    left = dict.fromkeys(VICTIMS, KILLS)
    began = next_kill = next_check = time.monotonic()
    while left or time.monotonic() - began < 60:
        number += 1
        try:
            act(system, number, alive)
        except RefusedError as error:
            # Gone already, there already, refused by a quota or by admission.
            assert error.status in (404, 409, 422), error
        if time.monotonic() >= next_check:
            next_check += 1
            placed, borrowers = check(system)
            most, borrowed, checks = max(most, placed), max(borrowed, borrowers), checks + 1
        if left and time.monotonic() >= next_kill:
            next_kill += random.uniform(0.5, 1.5) * PAUSE / len(VICTIMS)
            name = random.choice(sorted(left))
            kill(system, name)
            left = {one: times - (one == name) for one, times in left.items() if times - (one == name)}
        time.sleep(0.02)
    print(f"{number} changes, {checks} checks, at most {most} pods on nodes, {borrowed} of which borrowed")
    assert most >= 50
    assert borrowed > 0

    def quiet() -> bool:
        check(system)
        return settled(system)

    wait_until("each bound is what its pod has", quiet)


def settled(system: System) -> bool:
    """Whether each pod on a node has its bound, and each bound a pod."""
    pods = system.items(PODS, labelSelector="storm,bede.dev/bound")
    has = {one["metadata"]["uid"] for one in pods if one["spec"].get("nodeName")}
    told = {
        one["podUID"] for local in system.items(words.NODES) for one in local["status"].get("containers", [])
    }
    return has == told


def test_nothing_is_left_of_them(system: System) -> None:
    wait_until("the webhook answers", system.answers)
    done = system.plane.kubectl(
        "delete", "pods", "-l", "storm", "--grace-period=0", "--force", "--wait=false"
    )
    assert done.returncode == 0, done.stderr
    wait_until(
        "no bounds are left", lambda: not any(one["spec"]["bounds"] for one in system.items(words.NODES))
    )
    wait_until(
        "nothing is lent",
        lambda: not any(amount(one["status"], words.LENT) for one in system.offering()),
    )
    wait_until("no pods are left", lambda: not system.items(PODS, labelSelector="storm"))
