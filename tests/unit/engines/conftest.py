# SPDX-License-Identifier: Apache-2.0
"""Engines' files in a temporary directory; no engine is asked anything."""

from pathlib import Path

import pytest

from ocihook import config
from ocihook.engines import containerd_files, crio, docker, edits, podman, programs, real


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The /etc of a host without engines, where Bede is in /usr/bin."""
    etc = tmp_path / "etc"
    etc.mkdir()
    monkeypatch.setattr(edits, "program", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(programs, "find", lambda name: None)
    monkeypatch.setattr(docker, "PATH", str(etc / "docker/daemon.json"))
    monkeypatch.setattr(containerd_files, "CONFIG", str(etc / "containerd/config.toml"))
    monkeypatch.setattr(containerd_files, "OWN", str(etc / "containerd/conf.d/bede.toml"))
    monkeypatch.setattr(crio, "MAIN", str(etc / "crio/crio.conf"))
    monkeypatch.setattr(crio, "DIRECTORY", str(etc / "crio/crio.conf.d"))
    monkeypatch.setattr(real, "DIRECTORY", str(etc / "bede"))
    monkeypatch.setattr(real, "TASKS", (str(tmp_path / "tasks/*/runtime"),))
    monkeypatch.setattr("ocihook.host.ROOT", str(tmp_path))
    monkeypatch.setattr(config, "PATH", str(etc / "bede/config.yaml"))
    monkeypatch.setattr(podman, "ETC", str(etc / "containers"))
    monkeypatch.setattr(podman, "SHARE", str(tmp_path / "share"))
    monkeypatch.setattr(podman.os, "geteuid", lambda: 0)
    return etc
