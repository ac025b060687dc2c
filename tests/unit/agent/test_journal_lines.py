import os
import socket
from pathlib import Path

import pytest

from ocihook.agent import say
from ocihook.errors import AgentError


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A socket in the journal's place, and a standard error that goes to it as far as one can tell."""
    there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    there.bind(str(tmp_path / "journal"))
    there.setblocking(False)
    monkeypatch.setattr(say, "SOCKET", str(tmp_path / "journal"))
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    return there


def _fields(journal: socket.socket) -> dict[str, str]:
    text = journal.recv(65536).decode()
    assert text.endswith("\n")
    names = [line.partition("=")[0] for line in text[:-1].split("\n")]
    assert len(set(names)) == len(names)
    return {name: value for name, _, value in (line.partition("=") for line in text[:-1].split("\n"))}


def test_an_event_has_fields(journal: socket.socket, capfd: pytest.CaptureFixture[str]) -> None:
    found = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
    say.say("its local memory is bound to 2G", "bound", say.INFO, "web", bound=2 << 30)
    assert _fields(journal) == {
        "MESSAGE": "container web: its local memory is bound to 2G",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "bede-agent",
        "BEDE_EVENT": "bound",
        "BEDE_CONTAINER": "web",
        "BEDE_BOUND": str(2 << 30),
    }
    assert capfd.readouterr().err == ""


def test_what_is_in_a_field_makes_no_other(journal: socket.socket) -> None:
    say.say("moved to '/a\nPRIORITY=0'", "returned", cgroup="/a\nBEDE_EVENT=x\x85y")
    fields = _fields(journal)
    assert fields["PRIORITY"] == "5"
    assert fields["BEDE_CGROUP"] == "/a BEDE_EVENT=x y"


def test_elsewhere_it_is_a_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    say.say("ready", "ready")
    say.complain(AgentError("it is above its bound", "Free far memory"), "stalled", "web")
    lines = capfd.readouterr().err.splitlines()
    assert lines == ["bede agent: ready", "bede agent: container web: it is above its bound. Free far memory"]


def test_without_a_journal_nothing_is_lost(journal: socket.socket, capfd: pytest.CaptureFixture[str]) -> None:
    found = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
    journal.close()
    say.say("ready", "ready")
    assert capfd.readouterr().err == "bede agent: ready\n"


def test_many_of_one_container_are_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    speaker = say.Speaker()
    for _ in range(50):
        speaker.of("web", "a process is back", "returned")
    speaker.of("db", "a process is back", "returned")
    now[0] += 11
    speaker.of("web", "a process is back", "returned")
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[2].endswith("(and 49 more like this since the last line)")
