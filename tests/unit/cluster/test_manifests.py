# SPDX-License-Identifier: Apache-2.0
"""What is applied to a cluster fits the programs, and gives them no more than is written here."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ocihook.cluster import door, profiles, words
from ocihook.cluster.controller import program as controller
from ocihook.cluster.controller.trust import CONFIGURATIONS, SECRET
from ocihook.cluster.node import program as node
from ocihook.cluster.objects import Bound, Bounded, Ready, Report, Slot, spec, status
from ocihook.cluster.webhook import program as webhook
from ocihook.engines import cri, kubelet

Json = dict[str, Any]
BASE = Path(__file__).resolve().parents[3] / "kubernetes/base"
NODE_ALONE = BASE.parent / "from-the-node"
#: (program, where, API group, resource, names) → verbs; docs/kubernetes.md says the same in words
ALLOWED = {
    ("bede-node", "cluster", "bede.dev", "nodelocalmemories", ""): "get list watch create",
    ("bede-node", "cluster", "bede.dev", "nodelocalmemories/status", ""): "patch",
    ("bede-controller", "cluster", "", "pods", ""): "list watch",
    ("bede-controller", "cluster", "", "pods/eviction", ""): "create",
    ("bede-controller", "cluster", "", "nodes", ""): "list watch patch",
    ("bede-controller", "cluster", "", "nodes/status", ""): "patch",
    ("bede-controller", "cluster", "", "events", ""): "create",
    ("bede-controller", "cluster", "bede.dev", "nodelocalmemories", ""): "list watch patch delete",
    ("bede-controller", "cluster", "bede.dev", "localmemoryprofiles", ""): "list watch",
    ("bede-controller", "cluster", "bede.dev", "localmemoryprofiles/status", ""): "patch",
    ("bede-controller", "cluster", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "bede"): (
        "get patch"
    ),
    (
        "bede-controller",
        "cluster",
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        "bede",
    ): ("get patch"),
    ("bede-controller", "bede-system", "coordination.k8s.io", "leases", ""): "create",
    ("bede-controller", "bede-system", "coordination.k8s.io", "leases", "bede-controller"): "get update",
    ("bede-controller", "bede-system", "", "secrets", "bede-webhook"): "get",
    ("bede-webhook", "bede-system", "", "pods", ""): "get",
    ("bede-webhook", "cluster", "bede.dev", "localmemoryprofiles", ""): "list watch",
}
#: what `kubernetes/tenants.yaml` adds to Kubernetes' own roles, of profiles alone
TENANTS = {
    "bede-profiles-edit": "get list watch create update patch delete deletecollection",
    "bede-profiles-view": "get list watch",
}


def documents() -> list[Json]:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    files = {str(path.relative_to(BASE)) for path in BASE.rglob("*.yaml")}
    assert set(listed) == files - {"kustomization.yaml"}
    return [one for name in listed for one in yaml.safe_load_all((BASE / name).read_text())]


def of(kind: str) -> list[Json]:
    return [one for one in documents() if one["kind"] == kind]


def workloads() -> dict[str, Json]:
    return {one["metadata"]["name"]: one for one in documents() if one["kind"] in ("DaemonSet", "Deployment")}


def test_each_program_may_do_what_is_written_here_and_no_more() -> None:
    found: dict[tuple[str, str, str, str, str], str] = {}
    for role in (*of("ClusterRole"), *of("Role")):
        where = role["metadata"].get("namespace", "cluster")
        for rule in role["rules"]:
            assert rule.keys() <= {"apiGroups", "resources", "resourceNames", "verbs"}
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for name in rule.get("resourceNames", [""]):
                        key = (role["metadata"]["name"], where, group, resource, name)
                        assert key not in found
                        found[key] = " ".join(rule["verbs"])
    assert found == ALLOWED


def test_tenants_get_their_profiles_and_no_more() -> None:
    roles = list(yaml.safe_load_all((BASE.parent / "tenants.yaml").read_text()))
    assert {one["metadata"]["name"]: " ".join(one["rules"][0]["verbs"]) for one in roles} == TENANTS
    for one in roles:
        (rule,) = one["rules"]
        assert (rule["apiGroups"], rule["resources"]) == (["bede.dev"], ["localmemoryprofiles"])
        added = "rbac.authorization.k8s.io/aggregate-to-"
        assert all(key.startswith(added) for key in one["metadata"]["labels"])


def test_each_role_is_bound_to_the_account_of_its_name() -> None:
    for binding in (*of("ClusterRoleBinding"), *of("RoleBinding")):
        name = binding["metadata"]["name"]
        assert binding["roleRef"]["name"] == name
        account = {"kind": "ServiceAccount", "name": name, "namespace": words.NAMESPACE}
        assert binding["subjects"] == [account]
        assert workloads()[name]["spec"]["template"]["spec"]["serviceAccountName"] == name
    assert {one["metadata"]["name"] for one in of("ServiceAccount")} == set(workloads())


def test_no_program_has_a_power_that_it_does_not_need() -> None:
    for name, workload in workloads().items():
        pod = workload["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert container["resources"].keys() == {"requests", "limits"}
        assert {one["name"] for one in container.get("volumeMounts", [])} == {
            one["name"] for one in pod.get("volumes", [])
        }
        has_host = any("hostPath" in volume for volume in pod.get("volumes", []))
        assert has_host == (name == "bede-node") == (context["runAsUser"] == 0)


def test_the_programs_understand_their_arguments() -> None:
    for program in (node, controller, webhook):
        pod = workloads()[program.PROGRAM]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["command"] == [program.PROGRAM]
        args = program.parser().parse_args(container.get("args", []))
        if program is node:
            assert door.share_or_size(args.reserve)(1000) == 100
            mounted = {one["mountPath"] for one in container["volumeMounts"]}
            bundles = cri.BUNDLES[0].removesuffix("/k8s.io/{id}")
            mark = f"{kubelet.PLUGINS}/{kubelet.MARK}"
            token = "/var/run/secrets/kubernetes.io/serviceaccount"
            # Nothing above these: engines' sockets and the kubelet's are there, and lead to root on the node.
            assert mounted == {bundles, mark, token, "/run/bede", "/etc/bede", "/sys/fs/cgroup"}
            host = {one["hostPath"]["path"] for one in pod["volumes"] if "hostPath" in one}
            assert host == mounted - {token}
        else:
            assert args.namespace == words.NAMESPACE
        if program is controller:
            metrics = {"name": "metrics", "containerPort": args.metrics, "protocol": "TCP"}
            assert container["ports"] == [metrics]


def test_the_webhooks_are_those_that_the_program_serves() -> None:
    (service,) = of("Service")
    container = workloads()["bede-webhook"]["spec"]["template"]["spec"]["containers"][0]
    assert container["ports"] == [{"containerPort": webhook.PORT, "protocol": "TCP"}]
    assert service["spec"]["ports"][0]["targetPort"] == webhook.PORT
    paths = {
        "pods": webhook.PODS,
        "nodelocalmemories": webhook.NODES,
        "nodelocalmemories/status": webhook.NODES,
    }
    configurations = [one for one in documents() if one["kind"].endswith("WebhookConfiguration")]
    plurals = [f"{one['kind'].lower()}s/{one['metadata']['name']}" for one in configurations]
    assert plurals == ["/".join(path.split("/")[-2:]) for path in CONFIGURATIONS]
    for one in configurations:
        for hook in one["webhooks"]:
            where = hook["clientConfig"]["service"]
            assert (where["name"], where["namespace"]) == ("bede-webhook", words.NAMESPACE)
            for rule in hook["rules"]:
                assert {paths[resource] for resource in rule["resources"]} == {where["path"]}
    volume = workloads()["bede-webhook"]["spec"]["template"]["spec"]["volumes"][0]
    assert volume["secret"]["secretName"] == SECRET


def test_names_are_those_of_the_programs() -> None:
    for custom in of("CustomResourceDefinition"):
        assert custom["spec"]["group"] == words.GROUP
        assert custom["spec"]["versions"][0]["name"] == words.VERSION
    plurals = [custom["spec"]["names"]["plural"] for custom in of("CustomResourceDefinition")]
    assert plurals == [path.rpartition("/")[2] for path in (words.NODES, profiles.PROFILES)]
    assert of("CustomResourceDefinition")[0]["spec"]["names"]["kind"] == words.KIND
    (runtime,) = of("RuntimeClass")
    assert runtime["metadata"]["name"] == words.CLASS
    assert [one["metadata"]["name"] for one in of("Namespace")] == [words.NAMESPACE]


def _check(schema: Json, value: object, path: str) -> None:
    """Check *value* like the API server, which drops what a structural schema does not have."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int}
    assert isinstance(value, kinds[schema["type"]]), path
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, dict):
        assert value.keys() <= schema["properties"].keys(), path
        assert set(schema.get("required", ())) <= value.keys(), path
        for name, inner in value.items():
            _check(schema["properties"][name], inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            _check(schema["items"], inner, f"{path}[]")
    elif "enum" in schema:
        assert value in schema["enum"], path


@pytest.mark.parametrize("message", ["", "why"])
def test_what_is_written_is_in_the_schema(message: str) -> None:
    custom = of("CustomResourceDefinition")[0]
    schema = custom["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    slot = Slot("uid", "web")
    report = Report(
        2, 1, Ready(True, "x", "y"), (Bounded(slot, "ns", "p", 1, 1, 1, 1, 1, 1, 1, 1, message),), 1
    )
    told = status(report, {}, "2026-11-30T00:00:00Z")
    _check(schema, {"spec": spec([Bound(slot, 1, 1)]), "status": told}, "")
    for column in custom["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = column["jsonPath"]
        if path.startswith(".status.summary."):
            assert path.removeprefix(".status.summary.") in told["summary"]


def test_the_nodes_programs_are_mounted_for_all_of_them() -> None:
    patches = list(yaml.safe_load_all((NODE_ALONE / "usr.yaml").read_text()))
    assert {one["metadata"]["name"]: one["kind"] for one in patches} == {
        name: one["kind"] for name, one in workloads().items()
    }
    for one in patches:
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert container["name"] == one["metadata"]["name"]
        # Not by `images`: kubectl before 1.21 looks for containers in the custom resources' schemas, too.
        assert container["image"].startswith("debian:")
        # The client library reads the host's authorities, whether it uses them or not.
        # Not /etc/ssl, which has private keys.
        assert [one["mountPath"] for one in container["volumeMounts"]] == ["/usr", "/etc/ssl/certs"]
        assert all(one["readOnly"] for one in container["volumeMounts"])
