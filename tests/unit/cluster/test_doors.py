# SPDX-License-Identifier: Apache-2.0
"""The three programs: arguments, one line for an error, an exit status."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocihook.cluster import door, watching
from ocihook.errors import EXIT_CLUSTER, ClusterError

BIN = Path(__file__).resolve().parents[3] / "bin"
PROGRAMS = ("bede-node", "bede-controller", "bede-webhook")


def run(program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "NODE_NAME"))}
    command = [sys.executable, BIN / program, *words]
    return subprocess.run(command, capture_output=True, text=True, env=env | environment, check=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_says_what_it_does(program: str) -> None:
    done = run(program, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {program} ")
    assert "--kubeconfig" in done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_a_cluster_it_ends_with_one_line(program: str) -> None:
    done = run(program, NODE_NAME="n1")
    assert done.returncode == EXIT_CLUSTER
    assert done.stderr.startswith(f"{program}: no cluster is known: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "no node is named. Give --name, or set NODE_NAME."),
        (("--name", "n1", "--reserve", "lots"), "amount 'lots' is no quantity"),
        (("--name", "n1", "--reserve", "120%"), "'120%' is no share"),
    ],
)
def test_what_bede_node_cannot_do_is_one_line(words: tuple[str, ...], why: str) -> None:
    done = run("bede-node", *words)
    assert done.returncode == 2
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


WAITS = """
import signal, sys, threading
from ocihook.cluster import door
def run():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # so another thread gets it
    print("ready", flush=True)
    threading.Event().wait()
sys.exit(door.checked("x", run))
"""


def test_it_ends_when_it_is_told_to_whichever_thread_is_told(request: pytest.FixtureRequest) -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True)
    request.addfinalizer(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait(20) == 0


@pytest.fixture
def restored() -> Iterator[None]:
    """What a program sets for its whole process is as before."""
    before = (threading.excepthook, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGURG))
    yield
    threading.excepthook = before[0]
    signal.signal(signal.SIGTERM, before[1])
    signal.signal(signal.SIGURG, before[2])
    signal.set_wakeup_fd(-1)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ClusterError("gone", "Wait"), EXIT_CLUSTER, "x: gone. Wait."),
        (ModuleNotFoundError("no", name="kubernetes.client"), 2, "x: the Python package kubernetes is not"),
        (KeyError("oops"), 1, "x: internal error: KeyError: 'oops'"),
    ],
)
def test_an_error_is_one_line(
    error: Exception, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert door.checked("x", fail) == status
    found = capsys.readouterr().err
    assert found.startswith(line)
    assert len(found.splitlines()) == 1


def test_what_is_told_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    watching.tell("x", "others wrote:\n\x1b[2J  no")
    assert capsys.readouterr().err == "x: others wrote: ?[2J no\n"


@pytest.mark.usefixtures("restored")
def test_a_threads_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(door.os, "_exit", ended.append)
    assert door.checked("x", lambda: None) == 0

    def fail() -> None:
        raise ValueError("one\ntwo")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert capsys.readouterr().err == "x: internal error: ValueError: one two.\n"
    assert ended == [1]
