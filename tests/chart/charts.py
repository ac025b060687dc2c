# SPDX-License-Identifier: Apache-2.0
"""What the Helm chart and kustomize make, as objects."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from ocihook.cluster.controller import program as controller
from ocihook.cluster.node import program as node
from ocihook.cluster.webhook import program as webhook

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import packages

Json = dict[str, Any]
Key = tuple[str, str, str]
KUBERNETES = packages.ROOT / "kubernetes"
CHART = KUBERNETES / "chart"
NAMESPACE = "bede-system"
PARSERS = {"node": node.parser, "controller": controller.parser, "webhook": webhook.parser}


def run(*words: str | Path, given: str | None = None) -> tuple[int, str, str]:
    """Run a command without a cluster. Return its status, output and errors."""
    done = subprocess.run(
        words,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "HOME": "/nonexistent"},
    )
    return done.returncode, done.stdout, done.stderr


def objects(text: str) -> dict[Key, Json]:
    """The objects in *text*, by kind, namespace and name."""
    found: dict[Key, Json] = {}
    for one in yaml.safe_load_all(text):
        if one is not None:
            key = (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])
            assert key not in found
            found[key] = one
    return found


def template(
    programs: Path,
    values: Json | None = None,
    namespace: str = NAMESPACE,
    chart: Path = CHART,
    more: tuple[str, ...] = (),
) -> tuple[int, str, str]:
    line = (programs / "helm", "template", "bede", chart, "--namespace", namespace, "--include-crds")
    return run(*line, *more, "--values", "-", given=json.dumps(values or {}))


def rendered(programs: Path, values: Json | None = None, namespace: str = NAMESPACE) -> dict[Key, Json]:
    status, out, errors = template(programs, values, namespace)
    assert status == 0, errors
    return objects(out)


def kustomized(programs: Path, folder: Path) -> dict[Key, Json]:
    status, out, errors = run(programs / "kubectl", "kustomize", folder)
    assert status == 0, errors
    return objects(out)


def check_certificate(files: dict[str, bytes], where: Path, service: str) -> None:
    """Write *files* to *where*: ca.crt has signed tls.crt, which is for *service*, and tls.key is its key."""
    where.mkdir(exist_ok=True)
    for name, data in files.items():
        (where / name).write_bytes(data)
    line = ["openssl", "verify", "-CAfile", "ca.crt", "-verify_hostname", service, "tls.crt"]
    checked = subprocess.run(line, cwd=where, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    key, certificate = (
        subprocess.check_output(["openssl", *line], cwd=where, text=True)
        for line in (["pkey", "-in", "tls.key", "-pubout"], ["x509", "-in", "tls.crt", "-noout", "-pubkey"])
    )
    assert key == certificate


def nested(key: str, value: object) -> Json:
    """What ``--set KEY=VALUE`` means."""
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def merged(one: Json, other: Json) -> Json:
    result = dict(one)
    for key, value in other.items():
        result[key] = merged(result[key], value) if isinstance(result.get(key), dict) else value
    return result


def leaves(values: Json, path: str = "") -> list[str]:
    """The names of all values, such as ``image.tag``."""
    found = []
    for name, value in values.items():
        inner = f"{path}.{name}" if path else name
        found += leaves(value, inner) if isinstance(value, dict) and value else [inner]
    return found


def pod(made: dict[Key, Json], name: str, namespace: str = NAMESPACE) -> Json:
    kind = "DaemonSet" if name == "node" else "Deployment"
    template = made[kind, namespace, f"bede-{name}"]["spec"]["template"]
    assert isinstance(template, dict)
    return template


def arguments(made: dict[Key, Json], name: str, namespace: str) -> argparse.Namespace:
    """What the program understands of its arguments."""
    (container,) = pod(made, name, namespace)["spec"]["containers"]
    return PARSERS[name]().parse_args(container.get("args", []))
