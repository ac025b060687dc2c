# SPDX-License-Identifier: Apache-2.0
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocihook.control import notify
from ocihook.state import records


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setattr(records, "RUN", str(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "agent.sock"))
        listener.settimeout(30)
        yield listener


def _never(bede: str) -> None:
    raise AssertionError("an agent was started")


def test_one_message_reaches_the_agent(agent: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "start", _never)
    agent.listen()
    assert notify.tell("added", "web-12345678")
    connection, _ = agent.accept()
    with connection:
        assert json.loads(connection.recv(4096)) == {"op": "added", "key": "web-12345678"}
        assert connection.recv(4096) == b""


def test_an_agent_that_is_busy_is_not_waited_for(
    agent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "start", _never)
    agent.listen(0)
    with pytest.raises(BlockingIOError):
        for _ in range(10):
            notify.tell("added", "web-12345678")


@pytest.mark.parametrize("bound", [True, False])
def test_only_a_start_starts_an_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agent: socket.socket, bound: bool
) -> None:
    started: list[str] = []
    monkeypatch.setattr(notify, "start", started.append)
    if not bound:
        os.unlink(tmp_path / "agent.sock")
    assert not notify.tell("removed", "web-12345678", "/bede")
    assert started == []
    assert not notify.tell("added", "web-12345678", "/bede")
    assert started == ["/bede"]


def test_the_agent_is_started_detached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "SYSTEMD", str(tmp_path / "none"))
    # If the agent inherited a pipe for the hook's output, the runtime would wait until the agent ends.
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    os.mkfifo(tmp_path / "answer")
    program = tmp_path / "bede"
    program.write_text(
        "#!/bin/sh\n"
        f'(echo "$@"; for fd in 0 1 2 {writer}; do readlink "/proc/$$/fd/$fd" || echo none; done; '
        f"cut -d' ' -f6 /proc/$$/stat; pwd) > {tmp_path}/answer\n"
    )
    program.chmod(0o755)
    notify.start(str(program))
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)
    lines = (tmp_path / "answer").read_text().splitlines()
    assert lines[:5] == ["agent", "/dev/null", "/dev/null", "/dev/null", "none"]
    assert int(lines[5]) != os.getsid(0)
    assert lines[6] == "/"
