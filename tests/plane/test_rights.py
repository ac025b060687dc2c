# SPDX-License-Identifier: Apache-2.0
"""What each of Bede's accounts may do, asked of the API server and not of the files."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bede_plane import NAMESPACE, System, wait_until

from ocihook.cluster import words
from ocihook.cluster.api import MERGE, STRATEGIC, Api, RefusedError, connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit/cluster"))

from test_manifests import ALLOWED

EACH = 1 << 30
REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
#: What others would like to do with these accounts' rights.
TEMPTING = (
    ("", "secrets"),
    ("", "pods/exec"),
    ("", "configmaps"),
    ("", "serviceaccounts/token"),
    ("apps", "daemonsets"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
)


@pytest.fixture(scope="module", autouse=True)
def running(system: System) -> Iterator[None]:
    system.run(2, EACH)
    yield


def may(system: System, account: str, verb: str, group: str, resource: str, name: str, where: str) -> bool:
    whole, _, part = resource.partition("/")
    asked = {"verb": verb, "group": group, "resource": whole, "subresource": part, "name": name}
    spec = {
        "user": f"system:serviceaccount:{NAMESPACE}:{account}",
        "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"],
        "resourceAttributes": {**asked, "namespace": "" if where == "cluster" else where},
    }
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bool(system.api.send("POST", REVIEW, kind)["status"]["allowed"])


@pytest.mark.parametrize("account", ["bede-node", "bede-controller", "bede-webhook"])
def test_the_api_server_grants_what_the_table_has_and_no_more(system: System, account: str) -> None:
    tables = {key: verbs.split() for key, verbs in ALLOWED.items()}
    resources = {(group, resource) for _, _, group, resource, _ in tables} | set(TEMPTING)
    for group, resource in sorted(resources):
        names = {name for _, _, *what, name in tables if what == [group, resource] and name} | {"other"}
        for where in ("cluster", NAMESPACE, "default"):
            for name in sorted(names):
                for verb in VERBS:
                    wanted = any(
                        verb in verbs
                        for (who, there, *what, only), verbs in tables.items()
                        if (who, *what) == (account, group, resource)
                        and there in ("cluster", where)
                        and only in ("", name)
                    )
                    found = may(system, account, verb, group, resource, name, where)
                    assert found == wanted, (account, verb, group, resource, name, where)


def pod_of(system: System, name: str, node: str) -> None:
    """A pod of bede-node on a node."""
    spec = {
        "serviceAccountName": "bede-node",
        "nodeName": node,
        "containers": [{"name": "bede-node", "image": "x"}],
        "tolerations": [{"operator": "Exists"}],
    }
    meta = {"name": name, "namespace": NAMESPACE}
    system.api.send("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", {"metadata": meta, "spec": spec})


@pytest.fixture(scope="module")
def node(system: System) -> Api:
    """The API server, as bede-node of fake-0 sees it."""
    pod_of(system, "node-0", "fake-0")
    return connect(str(system.config("bede-node", "node-0")))


STATUS = {"status": {"total": EACH, "reserved": 0}}


def test_a_node_may_write_about_itself(system: System, node: Api) -> None:
    node.send("PATCH", f"{words.NODES}/fake-0/status", STATUS, MERGE)


@pytest.mark.parametrize(
    ("method", "path", "body", "why"),
    [
        ("PATCH", f"{words.NODES}/fake-1/status", STATUS, "a node may only write about itself"),
        (
            "POST",
            words.NODES,
            {"metadata": {"name": "other"}, "spec": {"bounds": []}},
            "only write about itself",
        ),
        ("PATCH", f"{words.NODES}/fake-0", {"spec": {"bounds": []}}, "forbidden"),
        ("DELETE", f"{words.NODES}/fake-0", {}, "forbidden"),
        (
            "PATCH",
            "/api/v1/nodes/fake-0/status",
            {"status": {"capacity": {words.RESOURCE: "9Ti"}}},
            "forbidden",
        ),
        ("PATCH", "/api/v1/nodes/fake-0", {"metadata": {"labels": {"a": "b"}}}, "forbidden"),
    ],
)
def test_and_nothing_else(node: Api, method: str, path: str, body: dict[str, object], why: str) -> None:
    whole = {"apiVersion": f"{words.GROUP}/{words.VERSION}", "kind": words.KIND, **body}
    kind = STRATEGIC if path.startswith("/api/") else MERGE
    with pytest.raises(RefusedError, match=why) as refused:
        node.send(method, path, whole if method == "POST" else body, *([kind] if method == "PATCH" else []))
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("path", ["/api/v1/pods", "/api/v1/nodes", f"/api/v1/namespaces/{NAMESPACE}/secrets"])
def test_it_reads_no_pods_nodes_or_secrets(node: Api, path: str) -> None:
    with pytest.raises(RefusedError, match="forbidden"):
        node.get(path)


def test_a_token_of_no_pod_is_of_no_use(system: System) -> None:
    stolen = connect(str(system.config("bede-node")))
    with pytest.raises(RefusedError, match="a node may only write about itself"):
        stolen.send("PATCH", f"{words.NODES}/fake-0/status", STATUS, MERGE)


def test_a_token_ends_with_its_pod(system: System) -> None:
    pod_of(system, "short", "fake-1")
    api = connect(str(system.config("bede-node", "short")))
    api.send("PATCH", f"{words.NODES}/fake-1/status", STATUS, MERGE)
    system.api.send("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/short", {"gracePeriodSeconds": 0})

    def is_over() -> bool:
        try:
            api.get(f"{words.NODES}/fake-1")
        except RefusedError as error:
            return error.status == 401
        return False

    wait_until("nobody takes it", is_over)
