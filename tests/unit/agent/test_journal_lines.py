# SPDX-License-Identifier: Apache-2.0
import os
import socket
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from ocihook import journal
from ocihook.agent import journal_thread
from ocihook.errors import AgentError


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A socket in place of the journal's, and an environment as if standard error went to the journal."""
    there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    there.bind(str(tmp_path / "journal"))
    there.setblocking(False)
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "journal"))
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    return there


def _fields(listener: socket.socket) -> dict[str, str]:
    text = listener.recv(65536).decode()
    assert text.endswith("\n")
    names = [line.partition("=")[0] for line in text[:-1].split("\n")]
    assert len(set(names)) == len(names)
    return {name: value for name, _, value in (line.partition("=") for line in text[:-1].split("\n"))}


def test_an_event_has_fields(listener: socket.socket, capfd: pytest.CaptureFixture[str]) -> None:
    found = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
    journal.report("its local memory is bound to 2G", "bound", journal.INFO, "web", bound=2 << 30)
    assert _fields(listener) == {
        "MESSAGE": "container web: its local memory is bound to 2G",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "bede-agent",
        "BEDE_EVENT": "bound",
        "BEDE_CONTAINER": "web",
        "BEDE_BOUND": str(2 << 30),
    }
    assert capfd.readouterr().err == ""


def test_what_is_in_a_field_makes_no_other(listener: socket.socket) -> None:
    journal.report("moved to '/a\nPRIORITY=0'", "returned", cgroup="/a\nBEDE_EVENT=x\x85y")
    fields = _fields(listener)
    assert fields["PRIORITY"] == "5"
    assert fields["BEDE_CGROUP"] == "/a BEDE_EVENT=x y"


def test_elsewhere_it_is_a_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    journal.report("ready", "ready")
    journal.complain(AgentError("it is above its bound", "Free far memory"), "stalled", "web")
    lines = capfd.readouterr().err.splitlines()
    assert lines == ["bede agent: ready", "bede agent: container web: it is above its bound. Free far memory"]


def test_without_a_journal_nothing_is_lost(
    listener: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    found = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
    listener.close()
    journal.report("ready", "ready")
    assert capfd.readouterr().err == "bede agent: ready\n"


def test_many_of_one_container_are_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    reporter = journal.Reporter()
    for _ in range(50):
        reporter.of("web", "a process is back", "returned")
    reporter.of("db", "a process is back", "returned")
    now[0] += 11
    reporter.of("web", "a process is back", "returned")
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[2].endswith("(and 49 more like this since the last line)")


ID = "4f1c2d3e4f5a" + "b" * 52
WHERE = f"/machine.slice/libpod-{ID}.scope"


class Engine:
    """The engines' answers: names by cgroup (a mock); `wait` returns after an answer."""

    def __init__(self) -> None:
        self.names = {WHERE: "web"}
        self.answered = threading.Semaphore(0)

    def of(self, containers: Iterable[tuple[str, str]]) -> dict[str, str]:
        found = {where: self.names[where] for _, where in containers if where in self.names}
        self.answered.release()
        return found

    def wait(self) -> None:
        assert self.answered.acquire(timeout=30)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setattr(journal_thread.names, "of", made.of)
    return made


def test_a_line_has_the_name_and_the_field_the_whole_id(
    listener: socket.socket, engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    found = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
    with journal_thread.JournalThread():
        journal.know(ID, WHERE)
        journal.report("its local memory is bound to 2G", "bound", container=ID, cgroup=WHERE)
    fields = _fields(listener)
    assert fields["MESSAGE"] == "container web (4f1c2d3e4f5a): its local memory is bound to 2G"
    assert (fields["BEDE_CONTAINER"], fields["BEDE_NAME"], fields["BEDE_CGROUP"]) == (ID, "web", WHERE)


def _lines(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line.removeprefix("bede agent: ") for line in capfd.readouterr().err.splitlines()]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No journal, so that all lines go to standard error."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)


def test_only_what_no_person_chose_is_shortened(
    plain: None, engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    journal.report("is bound", "bound", container=ID)  # before the journal's thread has started
    with journal_thread.JournalThread():
        journal.report("is bound", "bound", container=ID)  # its cgroup is not known
        journal.know("shop-frontend-web-1", "/shop-frontend-web-1")
        journal.report("is bound", "bound", container="shop-frontend-web-1")
    assert _lines(capfd) == [
        "container 4f1c2d3e4f5a: is bound",
        "container 4f1c2d3e4f5a: is bound",
        "container shop-frontend-web-1: is bound",
    ]


def test_a_new_name_is_said_and_the_last_one_once_it_has_ended(
    plain: None, engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    with journal_thread.JournalThread():
        journal.know(ID, WHERE)
        engine.wait()
        engine.names[WHERE] = "shop"
        journal.report("has another bound", "set", container=ID)
        engine.wait()
        engine.names.clear()
        journal.report("has ended", "ended", container=ID)
    assert _lines(capfd) == [
        "container shop (4f1c2d3e4f5a): has another bound",
        "container shop (4f1c2d3e4f5a): has ended",
    ]


def test_nobody_waits_for_an_engine_and_the_order_stays(
    plain: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    answers = threading.Event()
    questions: list[list[str]] = []

    def of(containers: Iterable[tuple[str, str]]) -> dict[str, str]:
        found = list(containers)
        questions.append([id for id, _ in found])
        asked.set()
        assert answers.wait(30)
        return dict.fromkeys((where for _, where in found), "web")

    monkeypatch.setattr(journal_thread.names, "of", of)
    with journal_thread.JournalThread():
        journal.know(ID, WHERE)
        assert asked.wait(30)
        for number in range(200):
            journal.report(f"line {number}", "set", container=ID)
        assert _lines(capfd) == []
        answers.set()
    assert _lines(capfd) == [f"container web (4f1c2d3e4f5a): line {number}" for number in range(200)]
    # All lines that waited cost one question.
    assert questions == [[ID], [ID]]


def test_an_engine_that_fails_costs_no_line(
    plain: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_thread.names, "of", lambda containers: 1 / 0)
    with journal_thread.JournalThread():
        journal.know(ID, WHERE)
        journal.report("is bound", "bound", container=ID)
        journal.report("ready", "ready")
    assert _lines(capfd) == ["container 4f1c2d3e4f5a: is bound", "ready"]
