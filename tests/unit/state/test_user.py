# SPDX-License-Identifier: Apache-2.0
"""Root, root in a rootless user's namespace, and another user."""

import os
from pathlib import Path

import hosts
import pytest

from ocihook.state import records, user


class Host:
    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        (root / "self").mkdir()
        hosts.redirect(monkeypatch, root, proc=root)
        monkeypatch.setattr(user, "RUNTIME", str(root / "user"))
        monkeypatch.setattr(records, "RUN", "/run/bede")

    def mapped(self, text: str) -> "Host":
        (self.root / "self/uid_map").write_text(text)
        return self

    def runtime(self, uid: int, mode: int = 0o700) -> str:
        where = self.root / f"user/{uid}"
        where.mkdir(parents=True)
        where.chmod(mode)
        return str(where)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return Host(tmp_path, monkeypatch)


@pytest.mark.parametrize("text", ["         0          0 4294967295\n", "", "0 0 65536\n", "1 1000 1\n"])
def test_root_of_a_whole_system(host: Host, text: str) -> None:
    host.mapped(text).runtime(0)
    assert not user.choose()
    assert records.RUN == "/run/bede"


def test_root_of_a_users_namespace(host: Host) -> None:
    where = host.mapped("         0       1000          1\n         1     100000      65536\n").runtime(1000)
    assert user.choose()
    assert where + "/bede" == records.RUN


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_a_runtime_directory_that_others_can_change(host: Host, mode: int) -> None:
    host.mapped("0 1000 1\n").runtime(1000, mode)
    assert not user.choose()


def test_no_runtime_directory_or_a_link(host: Host) -> None:
    host.mapped("0 1000 1\n")
    assert not user.choose()
    (host.root / "user").mkdir()
    (host.root / "user/1000").symlink_to("/tmp")
    assert not user.choose()


def test_somebody_who_is_no_root(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    where = host.mapped("0 0 4294967295\n").runtime(1001)
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    os.chown(where, 1001, -1)
    assert user.choose()
    assert where + "/bede" == records.RUN
