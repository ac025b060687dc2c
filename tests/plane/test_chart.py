# SPDX-License-Identifier: Apache-2.0
"""The Helm chart in a real API server: installed, upgraded and uninstalled by the real Helm."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocihook.cluster.api import PATCH, Api, RefusedError, connect
from ocihook.cluster.controller.trust import CONFIGURATIONS, patch
from vmlab.cluster.plane import Plane

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import helm
import packages

NAMESPACE = "bede-system"
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}"
CUSTOM = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodelocalmemories.bede.dev"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/bede-webhook"
VALUES = ("--set", "fromTheNode=true,webhook.certificate.from=Helm")
CHART = str(packages.ROOT / "kubernetes/chart")
Helm = Callable[..., str]


@pytest.fixture(scope="module")
def plane(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(programs, tmp_path_factory.mktemp("plane")) as made:
        yield made


@pytest.fixture
def api(plane: Plane) -> Api:
    return connect(str(plane.kubeconfig))


@pytest.fixture(params=helm.SOURCES)
def command(plane: Plane, tmp_path: Path, request: pytest.FixtureRequest) -> Helm:
    """What runs a version's helm."""
    program = helm.ensure(request.param) / "helm"

    def run(*words: str) -> str:
        env = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(plane.kubeconfig)}
        line = [str(program), *words, "--namespace", NAMESPACE]
        done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def is_there(api: Api, path: str) -> bool:
    try:
        api.get(path)
    except RefusedError:
        return False
    return True


def container(api: Api) -> Any:
    """The container of bede-node."""
    return api.get(f"{APPS}/daemonsets/bede-node")["spec"]["template"]["spec"]["containers"][0]


def test_it_is_installed_upgraded_and_uninstalled(command: Helm, api: Api) -> None:
    told = command("install", "bede", CHART, "--create-namespace", *VALUES)
    assert "kubectl get nodelocalmemory" in told
    assert container(api)["image"].startswith("debian:")
    assert container(api)["args"] == ["--reserve=10%"]
    assert is_there(api, CUSTOM)
    secret = api.get(SECRET)["data"]
    for path in CONFIGURATIONS:  # as bede-controller does
        api.send("PATCH", path, patch(api.get(path), secret["ca.crt"]), PATCH)

    command("upgrade", "bede", CHART, "--reuse-values", "--set", "node.reserve=4Gi,webhook.timeoutSeconds=9")
    assert container(api)["args"] == ["--reserve=4Gi"]
    # The certificate stays, and so does what bede-controller has written.
    assert api.get(SECRET)["data"] == secret
    for path in CONFIGURATIONS:
        hooks = api.get(path)["webhooks"]
        assert [one["timeoutSeconds"] for one in hooks] == [9] * len(hooks)
        assert [one["clientConfig"]["caBundle"] for one in hooks] == [secret["ca.crt"]] * len(hooks)

    command("uninstall", "bede")
    gone(api)


def test_it_takes_over_what_kustomize_has_made(command: Helm, plane: Plane, api: Api) -> None:
    for folder in ("base", "from-the-node"):  # the namespace first, and what is in it
        plane.kubectl("apply", "-k", str(packages.ROOT / "kubernetes" / folder))
    secret = ["secret", "generic", "bede-webhook", "-n", NAMESPACE, "--from-literal=ca.crt=x"]
    made = plane.kubectl("create", *secret)
    assert made.returncode == 0, made.stderr
    before = api.get(f"{APPS}/daemonsets/bede-node")
    # Helm 4 applies on the server, where kubectl's fields are kubectl's.
    more = ["--force-conflicts"] if command("version", "--short").startswith("v4") else []
    values = "fromTheNode=true,node.reserve=4Gi"
    command("install", "bede", CHART, "--take-ownership", *more, "--set", values)
    after = api.get(f"{APPS}/daemonsets/bede-node")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert container(api)["args"] == ["--reserve=4Gi"]
    command("uninstall", "bede")
    api.send("DELETE", SECRET, {})  # which was not Helm's
    gone(api)


def gone(api: Api) -> None:
    """Nothing of Bede is left but the custom resources."""
    assert is_there(api, CUSTOM)
    for path in (*CONFIGURATIONS, SECRET, f"{APPS}/daemonsets/bede-node", f"{APPS}/deployments/bede-webhook"):
        assert not is_there(api, path), path
