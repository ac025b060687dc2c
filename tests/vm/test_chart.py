# SPDX-License-Identifier: Apache-2.0
"""The Helm chart, rendered by the real Helm of two major versions, and compared with what kustomize makes.

It needs no machine, but a download, which is in the cache afterwards.
"""

import base64
import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from charts import (
    CHART,
    NAMESPACE,
    PARSERS,
    Json,
    Key,
    arguments,
    kustomized,
    leaves,
    merged,
    nested,
    objects,
    pod,
    rendered,
    run,
    template,
)

from ocihook.cluster import door

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import helm
import packages

#: what Helm's users look for on each object, except for those in crds/
LABELS = {
    "helm.sh/chart": f"bede-{packages.version()}",
    "app.kubernetes.io/instance": "bede",
    "app.kubernetes.io/managed-by": "Helm",
}
COMMON = {
    "resources": {"limits": {"memory": "2Gi"}},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "podLabels": {"team": "memory"},
    "podAnnotations": {"note": "x"},
}
#: each value of the chart → another one than its default
OTHER = {
    "image.repository": "registry.example/bede",
    "image.tag": "1.2.3",
    "image.digest": "sha256:" + "0" * 64,
    "image.pullPolicy": "Always",
    "image.pullSecrets": ["pull"],
    "fromTheNode": True,
    "node.reserve": "4Gi",
    "node.maxUnavailable": 3,
    "controller.replicas": 3,
    "controller.podMonitor": True,
    "webhook.replicas": 1,
    "webhook.failurePolicy": "Fail",
    "webhook.timeoutSeconds": 9,
    "webhook.runtimeClasses": ["bede-nvidia", "bede"],
    "webhook.certificate.from": "cert-manager",
    "webhook.certificate.days": 30,
    "webhook.certificate.issuerRef": {"kind": "ClusterIssuer", "name": "ours"},
    "runtimeClass.scheduling": {"nodeSelector": {"memory": "tiered"}},
    **{f"{program}.{name}": value for program in PARSERS for name, value in COMMON.items()},
}
#: these change something only where another value is not the default either
ONLY_WITH = {
    "webhook.certificate.days": {"webhook": {"certificate": {"from": "Helm"}}},
    "webhook.certificate.issuerRef": {"webhook": {"certificate": {"from": "cert-manager"}}},
}


@pytest.fixture(scope="module", params=helm.SOURCES)
def programs(request: pytest.FixtureRequest) -> Path:
    """The directory of one version's helm and kubectl."""
    return helm.ensure(request.param)


@pytest.mark.parametrize(("folder", "image"), [("base", f"bede:{packages.version()}"), ("from-the-node", "")])
def test_it_makes_what_kustomize_makes(programs: Path, folder: str, image: str) -> None:
    made = rendered(programs, {"fromTheNode": folder != "base"})
    wanted = copy.deepcopy(kustomized(programs, folder))
    # These differ, and nothing else does:
    # Helm makes the release's namespace itself, or finds it there.
    del wanted["Namespace", "", NAMESPACE]
    for (kind, _, _), one in wanted.items():
        # All but the custom resources have the labels of Helm.
        if kind != "CustomResourceDefinition":
            one["metadata"]["labels"] = one["metadata"].get("labels", {}) | LABELS
        # The image has a tag, the chart's version, where kustomize leaves it to an overlay.
        if image and kind in ("DaemonSet", "Deployment"):
            (container,) = one["spec"]["template"]["spec"]["containers"]
            container["image"] = image
    assert made.keys() == wanted.keys()
    for key, one in wanted.items():
        for each in (one, made[key]):
            sort_volumes(each)
        assert made[key] == one, key


def sort_volumes(one: Json) -> None:
    """Put a program's volumes in order: it means nothing, and differs between kustomize and Helm."""
    if one["kind"] in ("DaemonSet", "Deployment"):
        spec = one["spec"]["template"]["spec"]
        for where, key in ((spec, "volumes"), (spec["containers"][0], "volumeMounts")):
            if key in where:
                where[key].sort(key=lambda each: each["name"])


def test_each_value_is_for_something(programs: Path) -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert sorted(leaves(defaults)) == sorted(OTHER)
    for key, value in OTHER.items():
        with_others = ONLY_WITH.get(key, {})
        without = template(programs, with_others)
        changed = template(programs, merged(with_others, nested(key, value)))
        assert changed[0] == 0, changed[2]
        assert changed[1] != without[1], f"{key} changes nothing"


def test_all_values_together(programs: Path) -> None:
    values: Json = {}
    for key, value in OTHER.items():
        values = merged(values, nested(key, value))
    made = rendered(programs, values)
    for name in PARSERS:
        template = pod(made, name)
        (container,) = template["spec"]["containers"]
        assert container["image"] == f"registry.example/bede@sha256:{'0' * 64}"
        assert container["imagePullPolicy"] == "Always"
        assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}]
        assert {"name": "usr", "mountPath": "/usr", "readOnly": True} in container["volumeMounts"]
        # What was there stays where the value does not name it.
        assert container["resources"]["limits"] == {"memory": "2Gi"}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert template["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "disk": "fast"}
        assert template["spec"]["tolerations"] == COMMON["tolerations"]
        assert template["spec"]["affinity"] == COMMON["affinity"]
        assert template["spec"]["priorityClassName"] == "high"
        assert template["metadata"]["labels"] == {
            "app.kubernetes.io/name": f"bede-{name}",
            "team": "memory",
        }
        assert template["metadata"]["annotations"] == {"note": "x"}
    assert made["Deployment", NAMESPACE, "bede-controller"]["spec"]["replicas"] == 3
    assert made["Deployment", NAMESPACE, "bede-webhook"]["spec"]["replicas"] == 1
    update = made["DaemonSet", NAMESPACE, "bede-node"]["spec"]["updateStrategy"]
    assert update == {"rollingUpdate": {"maxUnavailable": 3}}
    assert door.share_or_size(arguments(made, "node", NAMESPACE).reserve)(1 << 40) == 4 << 30
    assert arguments(made, "webhook", NAMESPACE).runtime_class == ["bede-nvidia", "bede"]
    assert made["RuntimeClass", "", "bede"]["scheduling"] == {"nodeSelector": {"memory": "tiered"}}
    monitor = made["PodMonitor", NAMESPACE, "bede-controller"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= pod(made, "controller")["metadata"]["labels"].items()
    (container,) = pod(made, "controller")["spec"]["containers"]
    assert monitor["podMetricsEndpoints"] == [{"port": container["ports"][0]["name"]}]


def test_a_label_of_a_pod_that_selectors_need_stays(programs: Path) -> None:
    made = rendered(programs, {"webhook": {"podLabels": {"app.kubernetes.io/name": "mine"}}})
    assert pod(made, "webhook")["metadata"]["labels"] == {"app.kubernetes.io/name": "bede-webhook"}


@pytest.mark.parametrize("certificate", ["Secret", "Helm", "cert-manager"])
def test_it_can_be_in_another_namespace(programs: Path, certificate: str) -> None:
    values = {"webhook": {"certificate": {"from": certificate}}, "controller": {"podMonitor": True}}
    status, out, errors = template(programs, values, "elsewhere")
    assert status == 0, errors
    assert "bede-system" not in out
    made = objects(out)
    for kind, namespace, name in made:
        assert namespace in ("", "elsewhere"), (kind, name)
    for name in ("controller", "webhook"):
        assert arguments(made, name, "elsewhere").namespace == "elsewhere"
    bindings = [one for (kind, *_), one in made.items() if kind.endswith("RoleBinding")]
    assert len(bindings) == 5
    assert all(subject["namespace"] == "elsewhere" for one in bindings for subject in one["subjects"])


def hooks(made: dict[Key, Json]) -> dict[str, Json]:
    """The webhooks of both configurations, by their names."""
    kinds = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
    return {one["name"]: one for kind in kinds for one in made[kind, "", "bede"]["webhooks"]}


def test_where_no_pod_is_made_unseen_the_webhooks_own_are(programs: Path) -> None:
    before, after = (
        hooks(rendered(programs, {"webhook": {"failurePolicy": word, "timeoutSeconds": 9}}, "elsewhere"))
        for word in ("Ignore", "Fail")
    )
    assert {name: one["failurePolicy"] for name, one in before.items()} == {
        "pods.bede.dev": "Ignore",
        "required.pods.bede.dev": "Fail",
        "nodelocalmemories.bede.dev": "Fail",
    }
    assert all(one["timeoutSeconds"] == 9 for one in after.values())
    changed = after.pop("pods.bede.dev")
    kept = before.pop("pods.bede.dev")
    assert after == before
    assert changed["failurePolicy"] == "Fail"
    *others, added = changed["namespaceSelector"]["matchExpressions"]
    assert others == kept["namespaceSelector"]["matchExpressions"]
    assert added == {
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": ["elsewhere", "kube-system"],
    }


def test_a_certificate_by_helm_is_for_the_service(programs: Path, tmp_path: Path) -> None:
    values = {"webhook": {"certificate": {"from": "Helm", "days": 30}}}
    status, out, errors = template(programs, values, "elsewhere")
    assert status == 0, errors
    secret = objects(out)["Secret", "elsewhere", "bede-webhook"]
    assert secret["data"].keys() == {"ca.crt", "tls.crt", "tls.key"}
    for name, value in secret["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(value))
    line = ["openssl", "verify", "-CAfile", "ca.crt", "-verify_hostname", "bede-webhook.elsewhere.svc"]
    checked = subprocess.run([*line, "tls.crt"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    for days, valid in ((29, True), (31, False)):
        line = ["openssl", "x509", "-in", "tls.crt", "-noout", "-checkend", str(days * 24 * 3600)]
        assert (subprocess.run(line, cwd=tmp_path, capture_output=True).returncode == 0) is valid
    key, certificate = (
        subprocess.check_output(["openssl", *line], cwd=tmp_path, text=True)
        for line in (["pkey", "-in", "tls.key", "-pubout"], ["x509", "-in", "tls.crt", "-noout", "-pubkey"])
    )
    assert key == certificate


def test_cert_manager_is_told_what_the_service_is_called(programs: Path) -> None:
    values: Json = {"webhook": {"certificate": {"from": "cert-manager"}}}
    made = rendered(programs, values, "elsewhere")
    spec = made["Certificate", "elsewhere", "bede-webhook"]["spec"]
    assert (spec["secretName"], spec["dnsNames"]) == ("bede-webhook", ["bede-webhook.elsewhere.svc"])
    issuer = made[spec["issuerRef"]["kind"], "elsewhere", spec["issuerRef"]["name"]]
    assert issuer["spec"] == {"selfSigned": {}}
    values["webhook"]["certificate"]["issuerRef"] = {"name": "ours"}
    made = rendered(programs, values)
    assert made["Certificate", NAMESPACE, "bede-webhook"]["spec"]["issuerRef"] == {"name": "ours"}
    assert not [key for key in made if key[0] == "Issuer"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nod", {"reserve": "4Gi"}),
        ("node.reserved", "4Gi"),
        ("node.reserve", "200%"),
        ("node.reserve", "4GB"),
        ("node.reserve", 10),
        ("node.maxUnavailable", 0),
        ("node.maxUnavailable", "0%"),
        ("node.resources", {"limit": {"memory": "1Gi"}}),
        ("node.tolerations", {"operator": "Exists"}),
        ("node.nodeSelector", {"fast": True}),
        ("fromTheNode", "yes"),
        ("image.pullPolicy", "Sometimes"),
        ("image.tag", "a b"),
        ("image.digest", "sha256:1"),
        ("controller.replicas", "two"),
        ("webhook.failurePolicy", "ignore"),
        ("webhook.timeoutSeconds", 31),
        ("webhook.runtimeClasses", []),
        ("webhook.certificate.from", "secret"),
        ("webhook.certificate.issuerRef", {"kind": "ClusterIssuer"}),
    ],
)
def test_a_bad_value_is_one_line(programs: Path, key: str, value: object) -> None:
    status, out, errors = template(programs, nested(key, value))
    assert (status != 0, out) == (True, "")
    told = [line for line in errors.splitlines() if line.startswith("- ")]
    assert len(told) == 1, errors
    where, _, last = key.rpartition(".")
    # Which one it is; of a name that does not exist, the versions say it in different ways.
    assert last in told[0]
    assert where.replace(".", "/") in told[0] or where in told[0]


def test_lint_finds_nothing(programs: Path) -> None:
    status, out, errors = run(programs / "helm", "lint", "--strict", CHART, "--namespace", NAMESPACE)
    assert status == 0, out + errors
    found = [line for line in out.splitlines() if line.startswith("[")]
    assert found == ["[INFO] Chart.yaml: icon is recommended"]


def test_its_package_has_what_the_links_lead_to(programs: Path, tmp_path: Path) -> None:
    status, out, errors = run(programs / "helm", "package", CHART, "--destination", tmp_path)
    assert status == 0, out + errors
    package = tmp_path / f"bede-{packages.version()}.tgz"
    for values in ({}, {"fromTheNode": True}):
        there = template(programs, values, chart=package)
        assert there[:2] == template(programs, values)[:2]
    assert "kind: CustomResourceDefinition" in there[1]


def test_its_version_is_bedes() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (packages.version(), packages.version())
