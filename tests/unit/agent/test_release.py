# SPDX-License-Identifier: Apache-2.0
"""Releasing every container, with plain directories in place of cgroups."""

import os
from pathlib import Path

import pytest

from ocihook.agent import main, release
from ocihook.cgroup import path
from ocihook.cgroup.path import Cgroup
from ocihook.errors import AgentError, InputError
from ocihook.state import records

BOUND = 64 << 20


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose cgroups are directories of *tmp_path*."""

    def reopen(name: str, inode: int) -> Cgroup | None:
        where = tmp_path / name[1:]
        return Cgroup(str(tmp_path), name, os.open(where, os.O_RDONLY)) if where.is_dir() else None

    monkeypatch.setattr(path, "reopen", reopen)
    monkeypatch.setattr(path, "mount_point", lambda: str(tmp_path))
    monkeypatch.setattr(records, "RUN", str(tmp_path / "run"))
    return tmp_path


def bound(host: Path, name: str, high: int | None, swap: int | None = None, alive: bool = True) -> Path:
    where = host / name
    if alive:
        where.mkdir()
        (where / "memory.high").write_text("9")
        (where / "memory.swap.max").write_text("0")
    records.write(
        records.Record(
            id=name,
            bundle="/b",
            pid=1,
            pid_start=1,
            ns={},
            cgroup=f"/{name}",
            cgroup_ino=1,
            policy={"bede.local": "64M"},
            bound=BOUND,
            nodes={},
            user_high=high,
            user_swap_max=swap,
            created=1.0,
        )
    )
    return where


def test_each_container_gets_its_own_limits_back_and_is_forgotten(host: Path) -> None:
    free, limited = bound(host, "free", None), bound(host, "limited", 4096, 8192)
    bound(host, "ended", None, alive=False)
    assert release.release_all() == 3
    assert (free / "memory.high").read_text() == "max"
    assert (free / "memory.swap.max").read_text() == "max"
    assert (limited / "memory.high").read_text() == "4096"
    assert (limited / "memory.swap.max").read_text() == "8192"
    assert os.listdir(host / "run/containers") == []
    assert release.release_all() == 0


def test_what_cannot_be_let_go_does_not_keep_the_others(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, last = bound(host, "a-broken", None), bound(host, "b-last", None)
    (broken / "memory.high").unlink()
    (broken / "memory.high").mkdir()
    (host / "run/containers/odd-00000000.json").write_text("{")
    with pytest.raises(InputError, match="odd"):
        release.release_all()
    assert "a-broken keeps memory.high" in capsys.readouterr().err
    assert (last / "memory.high").read_text() == "max"
    assert [record.id for record in records.listing()[0]] == ["a-broken"]


def test_a_host_without_records_has_nothing_to_let_go(host: Path) -> None:
    assert release.release_all() == 0


def test_nothing_is_let_go_under_an_agent_that_runs(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main.user, "choose", lambda: True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    lock = main._only_one()
    with pytest.raises(AgentError, match="running already"):
        main.release_all()
    os.close(lock)
    assert main.release_all() == 0
