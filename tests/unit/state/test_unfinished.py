# SPDX-License-Identifier: Apache-2.0
"""Temporary files that killed writers have left."""

import os
from pathlib import Path

import hosts
import pytest

from ocihook.state import records, unfinished


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(records, "RUN", str(tmp_path))
    hosts.redirect(monkeypatch, tmp_path)
    (tmp_path / "proc/77").mkdir(parents=True)
    (tmp_path / "containers").mkdir(mode=0o700)
    return tmp_path / "containers"


def test_only_what_has_no_writer_is_removed(run: Path) -> None:
    for name in ("a.json", "a.json.76.tmp", "a.json.77.tmp", "odd.tmp"):
        (run / name).touch()
    (run / "dir.76.tmp").mkdir()
    unfinished.remove()
    assert sorted(os.listdir(run)) == ["a.json", "a.json.77.tmp", "dir.76.tmp"]


def test_without_records_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RUN", str(tmp_path / "none"))
    unfinished.remove()
