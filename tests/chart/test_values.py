# SPDX-License-Identifier: Apache-2.0
"""The values of the Helm chart: each is for something, and a wrong one is refused in one line."""

from pathlib import Path

import pytest
import yaml
from charts import (
    CHART,
    NAMESPACE,
    PARSERS,
    Json,
    arguments,
    leaves,
    merged,
    nested,
    pod,
    rendered,
    template,
)

from ocihook.cluster import door

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
    "admission": "policies",
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
        if key == "admission":
            continue  # it would leave nothing of the webhook's values
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
        ("admission", "none"),
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
