# SPDX-License-Identifier: Apache-2.0
"""The policies in CEL do what admission.py does, for the pods of its own tests; and they are well-formed.

No API server of the tests has such policies (Kubernetes 1.20 is too old), so their expressions are evaluated.
"""

import copy
import re
from typing import Any

import pytest
import test_webhook
import yaml
from kubernetes import client
from policies import CHECK, COMPLETE, NODES, POLICIES, PROFILES, RefusedError, created, meaning, update
from test_admission import (
    BOUNDED,
    CHANGES,
    REFUSED,
    REQUESTING,
    RUNNING,
    SHARING,
    applied,
    changed,
    container,
    pod,
)

from ocihook.cluster import admission, profiles, words
from ocihook.cluster.webhook import review
from ocihook.cluster.words import BOUND, LENT, RESOURCE

Json = dict[str, Any]


@pytest.mark.parametrize("asked", [REQUESTING, BOUNDED, SHARING], ids=["requests", "bounds", "a share"])
def test_it_completes_what_admission_completes(asked: Json) -> None:
    done = created(asked)
    assert meaning(done) == meaning(applied(asked, admission.create(asked)))
    assert created(done) == done


def test_what_does_not_ask_is_left_alone() -> None:
    for one in (pod(container("web", limit="1Gi")), pod(container("web"), bede_dev__profile="x")):
        assert created(one) == one


@pytest.mark.parametrize(("asked", "why"), REFUSED)
def test_it_refuses_what_admission_refuses(asked: Json, why: str) -> None:
    with pytest.raises(RefusedError) as caught:
        created(asked)
    # The API server itself refuses what is no quantity, before any admission.
    assert str(caught.value).startswith("failed expression") == ("no quantity" in why)


def test_the_label_alone_asks_for_nothing() -> None:
    asked = pod(container("web"))
    asked["metadata"]["labels"] = {BOUND: "true"}
    with pytest.raises(RefusedError, match="no container asks for local memory"):
        created(asked)


def test_lent_memory_is_bound_and_not_both() -> None:
    lent = container("web")
    lent["resources"] = {"limits": {LENT: "64Mi"}}
    assert meaning(created(pod(lent))) == meaning(applied(pod(lent), admission.create(pod(lent))))
    lent["resources"]["limits"][RESOURCE] = "64Mi"
    with pytest.raises(RefusedError, match="container web: it requests both"):
        created(pod(lent))


@pytest.mark.parametrize(("change", "why"), CHANGES)
def test_a_running_pod_does_not_get_what_admission_refuses(change: dict[str, str], why: str) -> None:
    with pytest.raises(RefusedError) as caught:
        update(RUNNING, changed(RUNNING, **change))
    assert not str(caught.value).startswith("failed expression")


def test_a_running_pods_bound_may_become_less_and_its_request_again() -> None:
    less = changed(RUNNING, bede_local__web="32M")
    update(RUNNING, less)
    update(less, RUNNING)


def test_a_running_pod_keeps_its_bound_and_label() -> None:
    after = copy.deepcopy(RUNNING)
    del after["metadata"]["annotations"]["bede.local/web"]
    with pytest.raises(RefusedError, match="container web: it requests local memory, and has no bound"):
        update(RUNNING, after)
    after = copy.deepcopy(RUNNING)
    del after["metadata"]["labels"]
    for before, now in ((RUNNING, after), (after, RUNNING)):
        with pytest.raises(RefusedError, match="is for pods that are made with a bound, and stays"):
            update(before, now)


def test_other_changes_of_a_pod_pass_whatever_is_in_it() -> None:
    before = changed(RUNNING, bede_locl="made without admission")
    update(before, changed(before, other="x"))
    update(pod(container("web")), pod(container("web"), bede_dev__x="64M"))


def test_a_pod_that_was_made_without_a_bound_gets_none_later() -> None:
    unasked = pod(container("web"), bede_local="64M")
    update(unasked, changed(unasked, other="x"))
    update(unasked, pod(container("web")))
    for before in (pod(container("web")), unasked):
        with pytest.raises(RefusedError, match="is for pods that are made with a bound"):
            update(before, pod(container("web"), bede_local="65M"))


def node_request(name: str, **extra: str) -> Json:
    request = test_webhook.node_review(test_webhook.ACCOUNT, name, **extra)["request"]
    return {**request, "object": {"metadata": {"name": name}}}


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (node_request("n1", node_name="n1"), True),
        (node_request("n2", node_name="n1"), False),
        (node_request("n1", node_name=""), False),
        (node_request("", node_name=""), False),
        (node_request("n1"), False),
        # Whose token names no node, the policy cannot tell; the webhook asks for the pod.
        (node_request("n1", pod_name="bede-node-x"), False),
        ({**node_request("n2", node_name="n1"), "userInfo": {"username": "system:admin"}}, True),
        ({**node_request("n1"), "userInfo": {"username": test_webhook.ACCOUNT}}, False),
    ],
)
def test_a_node_writes_about_itself_alone(asked: Json, allowed: bool) -> None:
    answer = review.of_node(test_webhook.of(**asked), words.NAMESPACE, lambda pod: "")
    assert answer["response"]["allowed"] is allowed
    if allowed:
        NODES.check(asked)
    else:
        with pytest.raises(RefusedError, match="a node may only write about itself: NodeLocalMemory"):
            NODES.check(asked)


@pytest.mark.parametrize(("mode", "allowed"), [("Off", True), ("Initial", False), ("Live", False)])
def test_a_profile_only_recommends(mode: str, allowed: bool) -> None:
    request = {"operation": "CREATE", "object": {"spec": {"mode": mode}}}
    # What the controller takes for no reason to make a pod anew is what the policy lets pass.
    raw = {"spec": {"selector": {"matchLabels": {"a": "b"}}, **request["object"]["spec"]}}
    raw["status"] = {"containers": [{"name": "web", "confidence": 100, "recommended": {"target": 1 << 30}}]}
    assert (profiles.sizes(profiles.parse(raw)) == {}) is allowed
    if allowed:
        PROFILES.check(request)
    else:
        with pytest.raises(RefusedError, match="mode: Off"):
            PROFILES.check(request)


def test_both_policies_of_pods_read_a_pod_in_the_same_way() -> None:
    shared = [
        one["name"]
        for one in COMPLETE.spec["variables"]
        if one["name"] not in ("uncounted", "unbound", "borrowers")
    ]
    assert shared[-1] == "figures"
    assert COMPLETE.spec["variables"][: len(shared)] == CHECK.spec["variables"][: len(shared)]


def test_literals_have_one_type() -> None:
    """Kubernetes refuses lists and maps of several types; here such a literal has the type dyn."""
    for policy in (COMPLETE, CHECK, NODES):
        for name, kind in policy.types.items():
            assert "DYN" not in kind.name() or name in ("annotations", "before"), name


def _names(model: Any, raw: object, path: str) -> None:
    """Check that all names of fields are those of the client library's *model*."""
    if isinstance(raw, list):
        inner = re.fullmatch(r"(?:list|List)\[(.*)\]", model)
        assert inner, path
        for one in raw:
            _names(inner[1], one, path)
    elif isinstance(raw, dict) and hasattr(client, model):
        kind = getattr(client, model)
        fields = {kind.attribute_map[name]: type for name, type in kind.openapi_types.items()}
        for name, value in raw.items():
            assert name in fields, f"{path}.{name}"
            _names(fields[name], value, f"{path}.{name}")


def test_fields_are_those_of_the_api() -> None:
    kinds = []
    for path in sorted(POLICIES.glob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text()):
            if one["apiVersion"] == "admissionregistration.k8s.io/v1" and "spec" in one:
                assert hasattr(client, f"V1{one['kind']}")
                _names(f"V1{one['kind']}", one, path.name)
                kinds.append(one["kind"])
                # An expression of several lines needs a message of its own.
                assert all(validation["message"] for validation in one["spec"].get("validations", ()))
    assert sorted(kinds) == [
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        *["ValidatingAdmissionPolicy"] * 3,
        *["ValidatingAdmissionPolicyBinding"] * 3,
    ]


def test_they_are_for_the_same_namespaces_as_the_webhook() -> None:
    for file in ("complete.yaml", "check.yaml"):
        policy, binding = yaml.safe_load_all((POLICIES / file).read_text())
        assert binding["spec"]["policyName"] == policy["metadata"]["name"]
        (expression,) = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert expression == {"key": f"{words.GROUP}/admission", "operator": "NotIn", "values": ["off"]}
