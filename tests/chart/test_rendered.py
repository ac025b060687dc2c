# SPDX-License-Identifier: Apache-2.0
"""The Helm chart, rendered by the real Helm of two major versions, and compared with what kustomize makes.

It needs no machine, but a download, which is in the cache afterwards.
"""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from charts import (
    CHART,
    KUBERNETES,
    NAMESPACE,
    Json,
    Key,
    arguments,
    check_certificate,
    kustomized,
    objects,
    pod,
    rendered,
    run,
    template,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import packages

#: what Helm's users look for on each object, except for those in crds/
LABELS = {
    "helm.sh/chart": f"bede-{packages.version()}",
    "app.kubernetes.io/instance": "bede",
    "app.kubernetes.io/managed-by": "Helm",
}


@pytest.mark.parametrize(
    ("values", "folders"),
    [
        ({}, ("base",)),
        ({"fromTheNode": True}, ("from-the-node",)),
        ({"admission": "policies"}, ("base", "cel")),
        ({"admission": "policies", "fromTheNode": True}, ("from-the-node", "cel")),
    ],
    ids=["base", "from the node", "policies", "policies, from the node"],
)
def test_it_makes_what_kustomize_makes(
    programs: Path, tmp_path: Path, values: Json, folders: tuple[str, ...]
) -> None:
    made = rendered(programs, values)
    # An overlay of a copy, as kustomize reads nothing outside it by absolute names.
    for name in ("base", "from-the-node", "cel", "disruption"):
        shutil.copytree(KUBERNETES / name, tmp_path / name)
    parts = (*folders[1:], "disruption")
    overlay = {"resources": [f"../{folders[0]}"], "components": [f"../{name}" for name in parts]}
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay/kustomization.yaml").write_text(json.dumps(overlay))
    wanted = kustomized(programs, tmp_path / "overlay")
    # These differ, and nothing else does:
    # Helm makes the release's namespace itself, or finds it there.
    del wanted["Namespace", "", NAMESPACE]
    # Without a webhook, Helm leaves its budget out.
    if "cel" in folders:
        del wanted["PodDisruptionBudget", NAMESPACE, "bede-webhook"]
    for (kind, _, _), one in wanted.items():
        # All but the custom resources have the labels of Helm.
        if kind != "CustomResourceDefinition":
            one["metadata"]["labels"] = one["metadata"].get("labels", {}) | LABELS
        # The image has a tag, the chart's version, where kustomize leaves it to an overlay.
        if folders[0] == "base" and kind in ("DaemonSet", "Deployment"):
            (container,) = one["spec"]["template"]["spec"]["containers"]
            container["image"] = f"bede:{packages.version()}"
    assert made.keys() == wanted.keys()
    assert (("Deployment", NAMESPACE, "bede-webhook") in made) == ("cel" not in folders)
    for key, one in wanted.items():
        for each in (one, made[key]):
            sort_volumes(each)
        assert made[key] == one, key


def test_the_overlay_of_the_page_does_what_the_page_says(programs: Path, tmp_path: Path) -> None:
    page = (packages.ROOT / "docs/kubernetes.md").read_text()
    (overlay,) = re.findall(r"(?ms)^```yaml\n(# overlay/kustomization.yaml\n.*?)^```$", page)
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes", symlinks=True)
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay/kustomization.yaml").write_text(overlay)
    made = kustomized(programs, tmp_path / "overlay")
    for name in ("node", "controller", "webhook"):
        assert pod(made, name)["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "far-memory": "yes"}
    assert arguments(made, "node", NAMESPACE).reserve == "4Gi"
    budgets = {name for kind, _, name in made if kind == "PodDisruptionBudget"}
    assert budgets == {"bede-webhook", "bede-controller"}


def sort_volumes(one: Json) -> None:
    """Put a program's volumes in order: it means nothing, and differs between kustomize and Helm."""
    if one["kind"] in ("DaemonSet", "Deployment"):
        spec = one["spec"]["template"]["spec"]
        for where, key in ((spec, "volumes"), (spec["containers"][0], "volumeMounts")):
            if key in where:
                where[key].sort(key=lambda each: each["name"])


BETA = "admissionregistration.k8s.io/v1beta1"
STABLE = "admissionregistration.k8s.io/v1"


@pytest.mark.parametrize(
    ("served", "version"), [((BETA,), BETA), ((STABLE,), STABLE), ((BETA, STABLE), STABLE), ((), STABLE)]
)
def test_policies_have_the_version_that_is_served(
    programs: Path, served: tuple[str, ...], version: str
) -> None:
    more = tuple(f"--api-versions={one}/MutatingAdmissionPolicy" for one in served)
    status, out, errors = template(programs, {"admission": "policies"}, more=more)
    assert status == 0, errors
    for (kind, _, _), one in objects(out).items():
        if "AdmissionPolicy" in kind:
            assert one["apiVersion"] == (version if kind.startswith("Mutating") else STABLE)


def test_policies_are_for_the_releases_classes_and_any_namespace(programs: Path) -> None:
    values = {"admission": "policies", "webhook": {"runtimeClasses": ["bede-nvidia", "bede"]}}
    status, out, errors = template(programs, values, "elsewhere")
    assert status == 0, errors
    assert NAMESPACE not in out
    made = objects(out)
    for kind in ("MutatingAdmissionPolicy", "ValidatingAdmissionPolicy"):
        first = made[kind, "", "pods.bede.dev"]["spec"]["variables"][0]
        assert first == {"name": "classes", "expression": "['bede-nvidia','bede']"}


def test_budgets_leave_one_of_two(programs: Path) -> None:
    made = rendered(programs, {})
    budgets = {name: one for (kind, _, name), one in made.items() if kind == "PodDisruptionBudget"}
    assert budgets.keys() == {"bede-controller", "bede-webhook"}
    for name, one in budgets.items():
        assert one["spec"]["maxUnavailable"] == 1
        labels = pod(made, name.removeprefix("bede-"))["metadata"]["labels"]
        assert one["spec"]["selector"]["matchLabels"].items() <= labels.items()


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
    files = {name: base64.b64decode(value) for name, value in secret["data"].items()}
    check_certificate(files, tmp_path, "bede-webhook.elsewhere.svc")
    for days, valid in ((29, True), (31, False)):
        line = ["openssl", "x509", "-in", "tls.crt", "-noout", "-checkend", str(days * 24 * 3600)]
        assert (subprocess.run(line, cwd=tmp_path, capture_output=True).returncode == 0) is valid


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
