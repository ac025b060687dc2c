# SPDX-License-Identifier: Apache-2.0
"""`bede vm shell` on a pseudo terminal, with a mock in QEMU's place; and its part in the machine."""

import io
import os
import pty
import runpy
import signal
import sys
import tarfile
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from vmlab import image, qemu, run, shell

RUNNER = image.GUEST / "root/usr/lib/bede-vm/runner.py"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """The person's side of the terminal: its keyboard and screen."""
    ours, theirs = pty.openpty()
    monkeypatch.setattr("sys.stdin", os.fdopen(theirs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield ours
    os.close(ours)


def shown(mock: qemu.Machine, monkeypatch: pytest.MonkeyPatch, options: run.Options) -> tuple[int, bytes]:
    """The shell's status, and its output."""
    screen = io.BytesIO()
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=screen))
    monkeypatch.setattr(run, "prepare", lambda *_, **__: mock)
    return shell.shell(options), screen.getvalue()


def test_the_machine_hears_of_the_windows_size_at_the_start_and_when_it_changes(
    mock_machine: Callable[[str], qemu.Machine], terminal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    termios.tcsetwinsize(terminal, (24, 80))
    body = f"""
import fcntl, signal, struct, termios
say("bede-status", b"ready\\n")
heard = port["bede-window"].recv(99)
fcntl.ioctl(os.open({os.ttyname(sys.stdin.fileno())!r}, os.O_RDWR | os.O_NOCTTY), termios.TIOCSWINSZ,
            struct.pack("4H", 50, 132, 0, 0))
os.kill({os.getpid()}, signal.SIGWINCH)
heard += port["bede-window"].recv(99)
say("bede-stdout", heard); say("bede-status", b"exit 3 %d 0 0\\n" % len(heard)); time.sleep(60)"""
    before = signal.getsignal(signal.SIGWINCH)
    assert shown(mock_machine(body), monkeypatch, run.Options([])) == (3, b"24 80\n50 132\n")
    assert signal.getsignal(signal.SIGWINCH) == before


def test_what_is_left_in_out_comes_to_the_host(
    mock_machine: Callable[[str], qemu.Machine],
    terminal: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    left = io.BytesIO()
    with tarfile.open(fileobj=left, mode="w") as tar:
        member = tarfile.TarInfo("./usage.csv")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"a,b\n1"))
    (tmp_path / "tar").write_bytes(left.getvalue())
    body = f"""
left = open({str(tmp_path / "tar")!r}, "rb").read()
say("bede-status", b"ready\\n"); say("bede-out", left)
say("bede-status", b"exit 0 0 0 %d\\n" % len(left)); time.sleep(60)"""
    out = tmp_path / "out"
    assert shown(mock_machine(body), monkeypatch, run.Options([], out=out)) == (0, b"")
    assert (out / "usage.csv").read_bytes() == b"a,b\n1"


def test_the_machines_terminal_gets_the_last_size_that_came_whole() -> None:
    ours, theirs = pty.openpty()
    read, write = os.pipe()
    window = runpy.run_path(str(RUNNER))["Window"](ours, read)
    for sent, size in ((b"30 90\n50 1", (30, 90)), (b"32\n", (50, 132)), (b"9 9\n40 100\n", (40, 100))):
        os.write(write, sent)
        window.take()
        assert termios.tcgetwinsize(theirs) == size
    for fd in (ours, theirs, read, write):
        os.close(fd)
