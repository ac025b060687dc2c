# SPDX-License-Identifier: Apache-2.0
"""A command's status differs from a lost machine; with a mock in QEMU's place."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ocihook.errors import MachineError
from vmlab import hang, machine, protocol, qemu

Mock = Callable[[str], machine.Running]


@pytest.fixture
def mock_qemu(mock_machine: Callable[[str], qemu.Machine], tmp_path: Path) -> Mock:
    return lambda body: machine.Running(mock_machine(body), str(tmp_path))


def follow(running: machine.Running, timeout: float | None = 20) -> tuple[machine.Result, bytes, bytes]:
    out, err = io.BytesIO(), io.BytesIO()
    with running:
        result = machine.follow(running, {"bede.stdout": out, "bede.stderr": err}, timeout)
    return result, out.getvalue(), err.getvalue()


def lost(running: machine.Running, timeout: float | None = 20) -> tuple[str, str]:
    with running, pytest.raises(MachineError) as error:
        machine.follow(running, {"bede.stdout": io.BytesIO(), "bede.stderr": io.BytesIO()}, timeout)
    assert running.process.returncode is not None
    return error.value.message, "\n".join(error.value.__notes__)


def test_the_commands_status_and_its_two_outputs(mock_qemu: Mock) -> None:
    body = r"""say("bede-status", b"ready\n"); say("bede-stdout", b"\0out\xff"); say("bede-stderr", b"err")
say("bede-status", b"exit 7 5 3 0\n"); time.sleep(60)"""
    result, out, err = follow(mock_qemu(body))
    assert (result.status, out, err) == (7, b"\0out\xff", b"err")


def test_output_that_comes_after_the_status_is_waited_for(mock_qemu: Mock) -> None:
    body = r"""say("bede-status", b"ready\nexit 0 300000 0 0\n"); time.sleep(0.3)
say("bede-stdout", b"x" * 300000); time.sleep(60)"""
    result, out, _ = follow(mock_qemu(body))
    assert (result.status, len(out)) == (0, 300000)


def test_a_panic_is_a_lost_machine_with_its_words(mock_qemu: Mock) -> None:
    body = r"""say("bede-status", b"ready\n")
say("console", b"before\r\nKernel panic - not syncing: why\r\nafter\r\n")"""
    message, console = lost(mock_qemu(body))
    assert message == "the machine's kernel panicked while the command ran"
    assert console == "Kernel panic - not syncing: why\nafter"


def test_a_reboot_that_the_command_asks_for_and_its_output_before_and_after(mock_qemu: Mock) -> None:
    body = r"""say("bede-status", b"ready\n"); say("bede-stdout", b"once"); time.sleep(0.3)
say("bede-status", b"reboot\n"); time.sleep(0.3); say("bede-status", b"ready\n"); time.sleep(0.3)
say("bede-status", b"exit 3 5 0 0\n"); time.sleep(0.3); say("bede-stdout", b"twice"); time.sleep(60)"""
    out = io.BytesIO()
    with mock_qemu(body) as running:
        up: list[float] = []
        result = machine.follow(running, {"bede.stdout": out}, 20, up.append, 1)
    assert (result.status, out.getvalue(), len(up)) == (3, b"oncetwice", 2)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"ready\nreboot\nready\nreboot\n", "one reboot too many"),
        (b"ready\nready\n", "began anew by itself"),
    ],
)
def test_reboots_that_nobody_meant(mock_qemu: Mock, said: bytes, words: str) -> None:
    body = f"say('bede-status', {said!r}); time.sleep(60)"
    with mock_qemu(body) as running, pytest.raises(MachineError) as error:
        machine.follow(running, {}, 20, reboots=1)
    assert words in error.value.message


def test_a_panic_of_a_machine_that_may_reboot(mock_qemu: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "TAIL_SECONDS", 0.5)
    body = r"""say("bede-status", b"ready\n")
say("console", b"Kernel panic - not syncing: why\nthe trace\n"); time.sleep(60)"""
    with mock_qemu(body) as running, pytest.raises(MachineError) as error:
        machine.follow(running, {}, 20, reboots=1)
    assert error.value.message == "the machine's kernel panicked while the command ran"
    assert "the trace" in error.value.__notes__[0]


def test_a_panic_before_the_command(mock_qemu: Mock) -> None:
    message, _ = lost(mock_qemu(r"""say("console", b"Kernel panic - not syncing: no init\n")"""))
    assert message == "the machine's kernel panicked before the command ran"


def test_a_machine_that_goes_down_is_not_a_command_that_succeeds(mock_qemu: Mock) -> None:
    message, _ = lost(mock_qemu(r"""say("bede-status", b"ready\n")"""))
    assert message == "the machine went down by itself while the command ran"


def test_qemus_own_failure_is_told(mock_qemu: Mock) -> None:
    message, words = lost(mock_qemu(r"""print("no such device", file=sys.stderr); sys.exit(1)"""))
    assert message == "QEMU failed with status 1 before the command ran"
    assert "qemu: no such device" in words


def test_the_time_out(mock_qemu: Mock) -> None:
    body = r"""say("console", b"hello\n"); say("bede-status", b"ready\n"); time.sleep(60)"""
    message, console = lost(mock_qemu(body), timeout=1)
    assert message == "the command ran when the time-out of 1 s passed"
    assert console == "hello"


def test_a_hang_at_boot(mock_qemu: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "BOOT_SECONDS", 0.5)
    message, _ = lost(mock_qemu("time.sleep(60)"), timeout=None)
    assert message == "the machine did not start the command within 0.5 s"


def test_a_machine_that_does_nothing_is_asked_what_it_waits_for(
    mock_qemu: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hang, "SECONDS", 0.5)
    monkeypatch.setattr(hang, "ANSWER_SECONDS", 0.3)
    body = r"""
say("console", b"booting\n")
assert port["monitor"].recv(100) == b"info registers -a\n"
say("monitor", b"CPU#0\r\nRAX=1 RIP=ffffffff81e0 HLT=1\r\n")
tasks = {b"9": b"", b"t": b"task:init state:S stack:0 ppid:0\ntask:kswapd0 state:D ppid:2\n"}
for _ in tasks:
    assert port["monitor"].recv(100) == b"chardev-send-break console\n"
    say("console", tasks[port["console"].recv(1)])
time.sleep(60)
"""
    message, words = lost(mock_qemu(body), timeout=None)
    assert message == "the machine did nothing for 0.5 s while it booted"
    assert "cpus: CPU#0 RIP=ffffffff81e0 HLT=1" in words
    assert "tasks: init S\n" in words + "\n"


def test_a_console_that_never_ends_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang, "ANSWER_SECONDS", 0.3)
    monitor, _theirs = socket.socketpair()
    console, guest = socket.socketpair()
    ended = threading.Event()

    def talk() -> None:
        while not ended.wait(0.05):
            guest.send(b"a job is running\n")

    thread = threading.Thread(target=talk)
    thread.start()
    began = time.monotonic()
    said = hang.questioned(monitor, console)
    ended.set()
    thread.join()
    assert said[-1] == "tasks: the kernel does not answer"
    assert time.monotonic() - began < 30
    for end in (monitor, _theirs, console, guest):
        end.close()


def test_a_machine_that_hangs_after_a_reboot_has_run_its_command(
    mock_qemu: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hang, "SECONDS", 0.5)
    monkeypatch.setattr(hang, "ANSWER_SECONDS", 0.1)
    running = mock_qemu(r"""say("bede-status", b"ready\nreboot\n"); time.sleep(60)""")
    with running, pytest.raises(MachineError) as error:
        machine.follow(running, {}, 20, reboots=1)
    assert not isinstance(error.value, machine.NeverUpError)


def test_a_machine_that_is_busy_is_not_taken_for_one_that_hangs(
    mock_qemu: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hang, "SECONDS", 0.3)
    monkeypatch.setattr(machine, "BOOT_SECONDS", 1.5)
    message, _ = lost(mock_qemu("while True: pass"), timeout=None)
    assert message == "the machine did not start the command within 1.5 s"


def test_nonsense_on_the_status_port(mock_qemu: Mock) -> None:
    message, _ = lost(mock_qemu(r"""say("bede-status", b"exit seven\n"); time.sleep(60)"""))
    assert message.startswith("the machine answered nonsense")


def test_qemu_dies_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", "import subprocess; p = subprocess.Popen(['setpriv', '--pdeathsig', 'KILL',"
         " 'sleep', '60']); print(p.pid, flush=True); p.wait()"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(50):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the child outlived its parent")


def test_status_lines_come_in_pieces() -> None:
    status = protocol.Status()
    for piece in (b"rea", b"dy\nexit 1", b"37 1 2", b" 3\n"):
        status.feed(piece)
    assert status.ready
    assert status.exit == protocol.Exit(137, 1, 2, 3)


@pytest.mark.parametrize("line", [b"exit 1\n", b"exit a b c d\n", b"hello\n", b"ready now\n"])
def test_a_status_line_that_makes_no_sense(line: bytes) -> None:
    with pytest.raises(ValueError):
        protocol.Status().feed(line)


def test_the_console_is_shown_without_its_colours() -> None:
    assert machine.last_lines(b"\x1b[1;31mred\x1b[0m\r\n\x1b]3008;start=x\x1b\\plain\n\n") == ["red", "plain"]
