# SPDX-License-Identifier: Apache-2.0
"""The files in examples/ are accepted by engines, and name files that Bede has."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ocihook.spec import bundle

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("stage", bundle.STAGES)
def test_podman_has_one_file_a_stage(stage: str) -> None:
    hook = json.loads((EXAMPLES / "podman" / f"bede-{stage.lower()}.json").read_text())
    assert hook["version"] == "1.0.0"
    assert hook["stages"] == [stage]
    # No timeout: crun's is not reliable (docs/architecture.md).
    assert hook["hook"] == {"path": "/usr/bin/bede-hook", "args": ["bede-hook", stage]}
    ((name, value),) = hook["when"]["annotations"].items()
    # Podman's regular expressions are not anchored.
    for annotation in ("bede.local", "bede.local.0", "bede.typo"):
        assert re.search(name, annotation)
    assert not re.search(name, "org.bede.local")
    assert not re.search(name, "bedeXlocal")
    assert re.search(value, "2G")


def test_docker_and_containerd_name_the_wrapper() -> None:
    docker = json.loads((EXAMPLES / "docker/daemon.json").read_text())
    assert docker == {"runtimes": {"bede": {"path": "/usr/bin/bede-runtime"}}}
    containerd = tomllib.loads((EXAMPLES / "containerd/bede.toml").read_text())
    runtimes = containerd["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]
    # containerd 1 forgets its built-in runtime if a file names any.
    assert set(runtimes) == {"runc", "bede"}
    runtime = runtimes["bede"]
    assert runtime["runtime_type"] == "io.containerd.runc.v2"
    assert runtime["pod_annotations"] == ["bede.*", "bede.*/*"]
    assert runtime["options"]["BinaryName"] == "/usr/bin/bede-runtime"


def test_the_made_bundle_needs_no_edit(tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    make = EXAMPLES / "runc/make-bundle"
    subprocess.run([sys.executable, make, tmp_path, "128M", "true"], check=True)
    config = json.loads((tmp_path / "config.json").read_text())
    policy = bundle.policy_of(config)
    assert policy is not None
    assert policy.resolve(None) == (128 << 20, {})
    assert config["process"]["args"] == ["true"]
    assert not bundle.edit(config, "/usr/bin/bede-hook", fence=True)


@pytest.mark.parametrize("directory", sorted(path for path in EXAMPLES.iterdir() if path.is_dir()))
def test_each_says_the_commands(directory: Path) -> None:
    assert "\n```sh\n" in (directory / "README.md").read_text()
