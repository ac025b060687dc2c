# SPDX-License-Identifier: Apache-2.0
"""The agent's input, records on disk and packets: none of it may end the agent."""

import contextlib
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import seeds
from hypothesis import given
from hypothesis import strategies as st
from mutate import mutated

from ocihook.agent import server
from ocihook.agent.registry import Registry
from ocihook.cgroup import path
from ocihook.config import Config
from ocihook.control import client
from ocihook.errors import BedeError
from ocihook.follow.family import Families
from ocihook.spec import fastjson
from ocihook.state import records

KEY = f"web-{records.key_of('web', '/run/web').rpartition('-')[2]}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The agent's directory, without a container in it."""
    monkeypatch.setattr(records, "RUN", str(tmp_path))
    (tmp_path / "containers").mkdir(mode=0o700)
    return tmp_path


def check_record(run: Path, data: bytes) -> None:
    """The record is refused, or is the same when written and read again; the agent goes on in both cases."""
    (run / "containers" / f"{KEY}.json").write_bytes(data)
    found, errors = records.listing()
    assert len(found) + len(errors) == 1
    for record in found:
        text = record.dumps()
        records.write(record)
        again = records.read(KEY)
        assert again is not None
        assert again.dumps() == text
        assert path.reopen(record.cgroup, -1) is None
        sizes = [record.bound, *record.nodes.values(), record.user_high or 0, record.user_swap_max or 0]
        assert all(0 <= size < 1 << 64 for size in sizes)
    Registry(Config(), Families()).adopt_all()


@pytest.mark.parametrize("file", seeds.files("record"), ids=lambda file: file.name)
def test_record_of_the_corpus(run: Path, file: Path) -> None:
    check_record(run, file.read_bytes())


@seeds.FUZZ
@given(data=mutated("record"))
def test_record(run: Path, data: bytes) -> None:
    check_record(run, data)


GOOD = json.loads((seeds.CORPUS / "record" / "whole").read_text())
_LEAVES = st.sampled_from(
    [None, True, -1, 0, 1 << 64, 1e300, float("nan"), "", "/", "/a\0", "/\ud800", "²", "1"]
)
_VALUES = (
    _LEAVES | st.lists(_LEAVES, max_size=2) | st.dictionaries(st.sampled_from("0²") | st.text(), _LEAVES)
)


@seeds.FUZZ
@given(changes=st.dictionaries(st.sampled_from(sorted(GOOD)), _VALUES, min_size=1, max_size=2))
def test_record_with_other_fields(run: Path, changes: dict[str, Any]) -> None:
    check_record(run, json.dumps({**GOOD, **changes}).encode())


def check_packet(data: bytes) -> None:
    reply = json.loads(server.answer(Registry(Config(), Families()), data))
    assert isinstance(reply["ok"], bool)
    assert reply["ok"] or reply["error"]


@pytest.mark.parametrize("file", seeds.files("packet"), ids=lambda file: file.name)
def test_packet_of_the_corpus(run: Path, file: Path) -> None:
    check_packet(file.read_bytes())


@seeds.FUZZ
@given(data=mutated("packet"))
def test_packet(run: Path, data: bytes) -> None:
    check_packet(data)


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process seem to be root's, as only root asks the agent."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def check_answer(run: Path, data: bytes) -> None:
    """The client gets *data* as the agent's answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        (run / "agent.sock").unlink(missing_ok=True)
        listener.bind(f"{run}/agent.sock")
        listener.listen(1)

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(1 << 16)
                connection.send(data)

        agent = threading.Thread(target=serve)
        agent.start()
        try:
            assert client.ask({"op": "ping"})["ok"]
        except BedeError as error:
            assert 0 < error.exit_code < 126
            assert error.line("bede")
        finally:
            agent.join()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("file", seeds.files("answer"), ids=lambda file: file.name)
def test_answer_of_the_corpus(run: Path, file: Path) -> None:
    check_answer(run, file.read_bytes())


@pytest.mark.usefixtures("root")
@seeds.FUZZ
@given(data=mutated("answer"))
def test_answer(run: Path, data: bytes) -> None:
    check_answer(run, data)


@seeds.FUZZ
@given(data=mutated("packet"))
def test_key_of_any_name(run: Path, data: bytes) -> None:
    with contextlib.suppress(BedeError):
        assert records.read(data.decode("utf-8", "surrogateescape")) is None
    with contextlib.suppress(BedeError):
        fastjson.loads(data)
