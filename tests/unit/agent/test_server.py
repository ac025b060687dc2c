# SPDX-License-Identifier: Apache-2.0
"""The agent's answers, with a registry that has no kernel (a mock: `HeldContainer` without a holder)."""

import json
import os
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ocihook.agent import server
from ocihook.agent.registry import Registry
from ocihook.config import Config
from ocihook.control import client
from ocihook.control.status import Status
from ocihook.errors import BedeError, InputError
from ocihook.follow.family import Families
from ocihook.state import records


@pytest.fixture
def registry() -> Registry:
    made = Registry(Config(), Families())
    for id in ("web", "webbing", "db"):
        record = SimpleNamespace(id=id, cgroup=f"/{id}", key=f"{id}-00000000", nodes={})
        made.containers[record.key] = SimpleNamespace(record=record, status=lambda id=id: status(id))  # type: ignore[assignment]
    return made


def status(id: str) -> Status:
    return Status(id, f"/{id}", 0, 0, 0, "tier")


def ask(registry: Registry, message: Any) -> Any:
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    return json.loads(server.answer(registry, raw))


def test_ps_and_ping(registry: Registry) -> None:
    assert [one["id"] for one in ask(registry, {"op": "ps"})["containers"]] == ["db", "web", "webbing"]
    assert ask(registry, {"op": "ping"}) == {"ok": True, "pid": os.getpid()}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "not JSON"),
        (b"[]", "not an object"),
        (b"\xff\xfe", "not JSON"),
        ({"op": "dance"}, "does not know"),
        ({"op": "set"}, "has no container"),
        ({"op": "set", "container": 5, "bound": "1G"}, "has no container"),
        ({"op": "set", "container": "nobody", "bound": "1G"}, "has ended"),
    ],
)
def test_what_it_refuses(registry: Registry, message: Any, words: str) -> None:
    reply = ask(registry, message)
    assert not reply["ok"]
    assert words in reply["error"]
    assert reply["code"] == 2


def test_what_does_not_fit_into_one_answer_comes_in_more(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_AT_ONCE", 2)
    reply = ask(registry, {"op": "ps"})
    assert ([one["id"] for one in reply["containers"]], reply["next"]) == (["db", "web"], 2)
    reply = ask(registry, {"op": "ps", "from": 2})
    assert ([one["id"] for one in reply["containers"]], reply["next"]) == (["webbing"], None)
    monkeypatch.setattr(client, "ask", lambda message: ask(registry, message))
    containers, outside = client.listing()
    assert ([one.id for one in containers], outside) == (["db", "web", "webbing"], {})
    assert "where to go on" in ask(registry, {"op": "ps", "from": -1})["error"]


def test_a_key_is_no_path(registry: Registry, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RUN", str(tmp_path))
    (tmp_path / "containers").mkdir(mode=0o700)
    assert "not the key" in ask(registry, {"op": "added", "key": "../../etc/passwd"})["error"]


def test_a_container_is_found_by_its_key_alone(registry: Registry) -> None:
    assert registry.find("db-00000000").record.id == "db"
    for name in ("db", "db-", ""):
        with pytest.raises(InputError, match="has ended, or is not held any more"):
            registry.find(name)


def test_one_packet_there_and_one_back(
    registry: Registry, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "RUN", str(tmp_path))
    monkeypatch.delenv("LISTEN_PID", raising=False)
    with server.listen() as listener:
        assert os.stat(f"{tmp_path}/agent.sock").st_mode & 0o777 == 0o600
        listener.settimeout(5)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.send(b'{"op": "ping"}')
        server.serve(registry, theirs)
        assert json.loads(ours.recv(4096))["ok"] is True
        ours.close()


def test_without_an_agent_the_client_says_what_to_do(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RUN", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(BedeError, match="cannot be reached") as error:
        client.ask({"op": "ps"})
    assert "systemctl start" in error.value.hint


def test_only_root_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BedeError, match="only root"):
        client.ask({"op": "ps"})


def test_a_message_that_is_nested_too_deeply_does_not_end_the_agent(registry: Registry) -> None:
    assert "nested too deeply" in ask(registry, b"[" * 100_000)["error"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b'{"ok": false, "code": 3}', 3)]
    + [(b'{"ok": false, "code": %s}' % value, 6) for value in (b"0", b'"x"', b"null", b"1e9", b"256")]
    + [(raw, 6) for raw in (b"[" * 100_000, b"null", b"\xff", b"{}")],
)
def test_whatever_the_agent_answers_the_client_has_an_exit_status(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, raw: bytes, code: int
) -> None:
    monkeypatch.setattr(records, "RUN", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{tmp_path}/agent.sock")
        listener.listen(1)

        def serve() -> None:
            with listener.accept()[0] as connection:
                assert connection.recv(100) == b'{"op": "ps"}'
                connection.send(raw)

        agent = threading.Thread(target=serve)
        agent.start()
        with pytest.raises(BedeError) as error:
            client.ask({"op": "ps"})
        agent.join()
    assert error.value.exit_code == code
