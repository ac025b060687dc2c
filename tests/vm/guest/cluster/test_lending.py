# SPDX-License-Identifier: Apache-2.0
"""What was learned, lent, and what happens while programs, or what they trust, are replaced."""

import base64
import json
import time

import bede_system
import pytest
from asking import asking, borrowing, create_dry, held, labelled, pod, told
from bede_system import NAMESPACE
from helpers import MIB, listed, wait_until
from pods import DEADLINE, got, kubectl, steady

from ocihook.spec import size

pytestmark = pytest.mark.usefixtures("installed")


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
            wait_until("the lender has less", lambda: told(lender) == {"web": 64}, DEADLINE)
            print(f"from pending to the lender's smaller bound: {time.monotonic() - began:.1f} s")
            wait_until("it has a node", lambda: got("pod", "borrower")["spec"].get("nodeName"), DEADLINE)
            print(f"from pending to its node: {time.monotonic() - began:.1f} s")
            borrower.full("job")
            print(f"from pending to full of what was lent: {time.monotonic() - began:.1f} s")
            held(borrower, "job", 64)
            borrows = {one["pod"]: one["borrows"] for one in listed().values()}
            assert (borrows["lender"], borrows["borrower"]) == (False, True)
            held(lender, "web", 64)
            bede_system.learned("lender", "web", 160)
            wait_until("the borrower is gone", lambda: gone("borrower"), DEADLINE)
        wait_until("the lender has all again", lambda: told(lender) == {"web": 128}, DEADLINE)
        wait_until("nothing is offered", lambda: not bede_system.lent(), DEADLINE)
    kubectl("delete", "localmemoryprofile", "lender")


def gone(name):
    """Whether a pod is gone, or about to be."""
    found = got("pod", fields=f"metadata.name={name}")["items"]
    return not found or "deletionTimestamp" in found[0]["metadata"]


def test_a_new_pod_gets_what_was_learned():
    bede_system.learned("known", "web", 48)

    def is_known():
        found = create_dry(labelled(pod("known", asking("web", 96, "256Mi")), "known").spec)
        return "bede.dev/asked" in found and found

    made = wait_until("the webhook knows the profile", is_known, DEADLINE)
    assert made["bede.dev/asked"] == "web=256Mi"
    assert size.parse(made["bede.local/web"]) == pytest.approx(48 * MIB, rel=0.05)
    with labelled(pod("known", asking("web", 96, "256Mi")), "known") as one:
        one.full("web")
        held(one, "web", 48)
    kubectl("delete", "localmemoryprofile", "known")


def test_a_pod_that_waits_for_more_than_it_needs_is_made_anew():
    container = asking("web", 96, f"{bede_system.capacity() // MIB + 512}Mi")
    template = labelled(pod("anew", container), "anew").spec
    template["metadata"].pop("name")
    del template["spec"]["restartPolicy"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "anew"}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "anew"}}}
    spec["template"] = {"metadata": template["metadata"], "spec": template["spec"]}
    kubectl("create", "-f", "-", stdin=json.dumps({**owner, "spec": spec}))

    def phases():
        return [one["status"].get("phase") for one in got("pod", labels="app=anew")["items"]]

    wait_until("it waits", lambda: phases() == ["Pending"], DEADLINE)
    bede_system.learned("anew", "web", 48)
    wait_until("it runs", lambda: "Running" in phases(), DEADLINE)
    kubectl("delete", "deployment", "anew")
    kubectl("delete", "localmemoryprofile", "anew")
    wait_until("its pods are gone", lambda: not phases(), DEADLINE)


def test_a_new_authority_is_trusted():
    bede_system.certify()

    def trusted():
        new = base64.b64decode(got("secret", "bede-webhook", NAMESPACE)["data"]["ca.crt"])
        found = got("mutatingwebhookconfiguration", "bede")["webhooks"]
        bundles = [base64.b64decode(one["clientConfig"].get("caBundle", "")) for one in found]
        # The one before it is still there as well.
        return all(one.startswith(new) and len(one) > len(new) for one in bundles)

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
