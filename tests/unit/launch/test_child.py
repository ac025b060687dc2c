# SPDX-License-Identifier: Apache-2.0
"""The child process that waits to become a command."""

import os
import signal
import sys
from pathlib import Path

import pytest

from ocihook.errors import InputError
from ocihook.launch.child import Child


def test_it_does_nothing_until_it_is_released(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    child = Child(["touch", str(mark)])
    assert not mark.exists()
    assert child.release() is None
    assert child.wait() == 0
    assert mark.exists()


def test_one_that_is_cancelled_never_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    child = Child(["touch", str(mark)])
    child.cancel()
    child.cancel()
    assert not mark.exists()
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, 0)


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["sh", "-c", "exit 9"], 9),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
    ],
)
def test_its_status_is_the_commands(argv: list[str], status: int) -> None:
    child = Child(argv)
    assert child.release() is None
    assert child.wait() == status


@pytest.mark.parametrize(("program", "number"), [("/no/such/program", 2), ("/etc/passwd", 13)])
def test_why_it_cannot_become_its_command(program: str, number: int) -> None:
    child = Child([program])
    error = child.release()
    assert error is not None
    assert error.errno == number
    assert child.wait() == 127


def test_no_descriptor_is_handed_on() -> None:
    # The program that started the tests may have left some open.
    ours = [int(name) for name in os.listdir("/proc/self/fd")]
    before = [fd for fd in ours if Path(f"/proc/self/fd/{fd}").exists() and os.get_inheritable(fd)]
    code = f"import os, sys; sys.exit(len(set(map(int, os.listdir('/proc/self/fd'))) - {{3, *{before}}}))"
    child = Child([sys.executable, "-c", code])
    assert child.release() is None
    assert child.wait() == 0


@pytest.mark.parametrize("user", ["nobody-of-that-name", "", "4294967296000", "-1"])
def test_a_user_that_is_none(user: str) -> None:
    with pytest.raises(InputError, match="there is no user"):
        Child(["true"], user)
