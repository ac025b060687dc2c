# SPDX-License-Identifier: Apache-2.0
"""The agent's messages to systemd."""

import os
import socket
from pathlib import Path

import pytest

from ocihook.agent import supervisor


def test_it_hears_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        supervisor.tell("READY=1")
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("name", ["", "relative", "/no/such/socket"])
def test_where_nobody_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    supervisor.tell("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("60000000", None, 60.0), ("60000000", os.getpid(), 60.0), ("60000000", 1, None), ("x", None, None)],
    ids=["nobody", "this one", "another", "nonsense"],
)
def test_how_often_it_waits(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: int | None, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", str(pid))
    assert supervisor.watchdog_seconds() == seconds
