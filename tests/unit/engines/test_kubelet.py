# SPDX-License-Identifier: Apache-2.0
"""A node's part of Kubernetes: its engine, and the mark that its kubelet finds."""

from pathlib import Path

import pytest

from ocihook import host
from ocihook.cli import main
from ocihook.engines import crio, kubelet, programs
from ocihook.errors import InputError, RuntimeMissingError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host, "ROOT", str(tmp_path))
    return tmp_path


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(programs, "find", lambda name: f"/usr/bin/{name}" if name in names else None)
    monkeypatch.setattr(programs, "output", lambda *words, **options: "")


def test_the_kubelet_finds_a_mark(here: Path) -> None:
    kubelet.keep_mark()  # there is no kubelet
    assert not kubelet.remove_mark()
    where = here / kubelet.PLUGINS[1:]
    where.mkdir(parents=True)
    kubelet.keep_mark()
    kubelet.keep_mark()
    assert [one.name for one in where.iterdir()] == ["bede.dev"]
    assert kubelet.remove_mark()
    assert list(where.iterdir()) == []


def test_the_engine_is_the_one_that_serves(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    with pytest.raises(RuntimeMissingError, match="neither containerd nor crio"):
        kubelet.engine()
    installed(monkeypatch, "crio")
    assert kubelet.engine() == "crio"
    installed(monkeypatch, "containerd", "crio")
    with pytest.raises(InputError, match="both containerd and crio"):
        kubelet.engine()
    socket = here / kubelet.SOCKETS["containerd"][1:]
    socket.parent.mkdir(parents=True)
    socket.touch()
    assert kubelet.engine() == "containerd"


def test_a_node_is_configured_and_back(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(monkeypatch, "crio")
    mark = here / kubelet.PLUGINS[1:] / kubelet.MARK
    mark.parent.mkdir(parents=True)
    assert main.main(["configure", "kubernetes", "--dry-run"]) == 0
    assert "bede-runtime" in capsys.readouterr().out
    assert not mark.exists()
    assert main.main(["configure", "kubernetes"]) == 0
    assert f"now run: {crio.THEN}" in capsys.readouterr().out
    assert mark.is_dir()
    assert main.main(["unconfigure", "kubernetes"]) == 0
    assert not mark.exists()
