# SPDX-License-Identifier: Apache-2.0
"""One running QEMU: its ports and deadlines, and how a lost machine differs from a failed command."""

import contextlib
import os
import re
import selectors
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO

from ocihook.errors import MachineError
from vmlab import hang, protocol, qemu

CHUNK = 1 << 18
CONSOLE_KEPT = 1 << 16  #: bytes of the console that are kept
CONSOLE_LINES = 25
ESCAPES = re.compile(
    r"\x1b(\][^\x07\x1b]*(\x07|\x1b\\)|P[^\x1b]*\x1b\\|[\[(][0-9;?!]*[a-zA-Z]|.)|[\x00-\x09\x0b-\x1f]"
)
PANIC = "Kernel panic"
MONITOR = "monitor"
BOOT_SECONDS = 120.0  #: after so long without running its command a machine is lost
DRAIN_SECONDS = 30.0  #: after the command's end, to wait for output that is still under way
TAIL_SECONDS = 2.0  #: after a panic or QEMU's end, to wait for the console's last lines


@dataclass(frozen=True)
class Result:
    """How a command went."""

    status: int
    boot_seconds: float
    seconds: float


class NeverUpError(MachineError):
    """The machine did not get as far as its command, so it does no harm to start another one."""


class Running:
    """QEMU with a socket pair behind each port. A context manager: at its end QEMU is killed."""

    def __init__(self, machine: qemu.Machine, tmp: str) -> None:
        self.sockets: dict[str, socket.socket] = {}
        theirs: dict[str, socket.socket] = {}
        for name in (*protocol.PORTS, "console", MONITOR):
            self.sockets[name], theirs[name] = socket.socketpair()
            self.sockets[name].setblocking(False)
        fds = {name: end.fileno() for name, end in theirs.items()}
        console, monitor = fds.pop("console"), fds.pop(MONITOR)
        self.start = time.monotonic()
        self.process = subprocess.Popen(
            qemu.arguments(replace(machine, ports=fds, console=console, monitor=monitor)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(*fds.values(), console, monitor),
            env=dict(os.environ, TMPDIR=tmp),
            start_new_session=True,  # Ctrl-C goes to this process only
        )
        for end in theirs.values():
            end.close()
        self.console = b""

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for end in self.sockets.values():
            end.close()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def lost(self, why: str, hint: str = "", kind: type[MachineError] = MachineError) -> MachineError:
        """The error for a machine that has died, with the console's last lines."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self.console += self.sockets["console"].recv(CHUNK)
        qemu_said = self.process.stderr.read().decode(errors="replace") if self.process.stderr else ""
        error = kind(why, hint)
        lines = last_lines(self.console)
        lines += [f"qemu: {line}" for line in qemu_said.splitlines()[-5:]]
        error.add_note("\n".join(lines))
        return error

    def keep(self, data: bytes) -> None:
        """Add *data* to the console's output, of which only the end is kept."""
        self.console = (self.console + data)[-CONSOLE_KEPT:]


def last_lines(console: bytes) -> list[str]:
    """The console's last lines, from the first line of a panic on if there is one."""
    text = ESCAPES.sub("", console.decode(errors="replace").replace("\r", "\n"))
    lines = [line for line in text.split("\n") if line.strip()]
    for i, line in enumerate(lines):
        if PANIC in line:
            return lines[i : i + CONSOLE_LINES]
    return lines[-CONSOLE_LINES:]


def follow(
    running: Running,
    sinks: dict[str, BinaryIO],
    timeout: float | None,
    on_ready: Callable[[float], None] = lambda _: None,
    reboots: int = 0,
) -> Result:
    """Copy the ports to *sinks* until the command has ended. Raises MachineError if the machine ends first.

    A command that asked for a reboot has not ended: it runs again, for at most so many *reboots*.
    """
    status = protocol.Status()
    counts = dict.fromkeys(sinks, 0)
    boot = 0.0
    began = running.start
    deadline = running.start + (timeout if timeout is not None else float("inf"))
    ended = float("inf")
    watch = hang.Watch(running.process.pid)
    with selectors.DefaultSelector() as selector:
        for name, end in running.sockets.items():
            if name not in (*protocol.TO_MACHINE, MONITOR):
                selector.register(end, selectors.EVENT_READ, name)
        while not _complete(status, counts):
            now = time.monotonic()
            limit = min(deadline, ended + DRAIN_SECONDS)
            if not status.ready:
                limit = min(limit, began + BOOT_SECONDS)
                if watch.still():
                    raise _hung(running, status)
            if now >= limit:
                raise _late(running, status, now >= deadline, timeout)
            until = limit if status.ready else min(limit, watch.due)
            for key, _ in selector.select(None if until == float("inf") else until - now):
                data = _receive(running.sockets[key.data])
                if data == b"":
                    selector.unregister(key.fileobj)
                    if key.data == "bede.status" or not selector.get_map():
                        raise _gone(running, status)
                elif data is None:
                    continue
                elif key.data == "console":
                    running.keep(data)
                    # A machine that may reboot also reboots after a panic, and only the console shows that.
                    if reboots and PANIC.encode() in running.console:
                        raise _gone(running, status)
                elif key.data == "bede.status":
                    before = status.ready
                    _heed(running, status, data, reboots)
                    if status.ready and not before:
                        up = time.monotonic() - began
                        boot = boot or up
                        counts = dict.fromkeys(sinks, 0)  # the runner begins to count again as well
                        on_ready(up)
                    elif before and not status.ready:
                        began = time.monotonic()
                    if status.exit is not None:
                        ended = time.monotonic()
                elif key.data in sinks:
                    sinks[key.data].write(data)
                    sinks[key.data].flush()
                    counts[key.data] += len(data)
    assert status.exit is not None
    return Result(status.exit.status, boot, time.monotonic() - running.start)


def _receive(end: socket.socket) -> bytes | None:
    try:
        return end.recv(CHUNK)
    except BlockingIOError:
        return None
    except ConnectionError:
        return b""


def _heed(running: Running, status: protocol.Status, data: bytes, reboots: int) -> None:
    try:
        status.feed(data)
    except ValueError as exc:
        raise running.lost(f"the machine answered nonsense: {exc}") from None
    if status.reset:
        raise running.lost("the machine began anew by itself while the command ran")
    if status.reboots > reboots:
        raise running.lost("the command asked for one reboot too many", "Give --reboots a larger number")


def _complete(status: protocol.Status, counts: dict[str, int]) -> bool:
    if status.exit is None:
        return False
    sent = {
        "bede.stdout": status.exit.stdout,
        "bede.stderr": status.exit.stderr,
        "bede.out": status.exit.out,
    }
    return all(counts[name] >= sent[name] for name in counts)


def _kind(status: protocol.Status) -> type[MachineError]:
    return MachineError if status.reboots else NeverUpError


def _hung(running: Running, status: protocol.Status) -> MachineError:
    said = hang.questioned(running.sockets[MONITOR], running.sockets["console"])
    why = f"the machine did nothing for {hang.SECONDS:g} s while it booted"
    error = running.lost(why, kind=_kind(status))
    error.add_note("\n".join(said))
    return error


def _late(running: Running, status: protocol.Status, timed_out: bool, timeout: float | None) -> MachineError:
    if timed_out:
        what = "the command ran" if status.ready else "the machine was still booting"
        return running.lost(
            f"{what} when the time-out of {timeout:g} s passed", "Give --timeout more seconds"
        )
    if status.exit is not None:
        return running.lost("the command ended, but the machine did not deliver all of its output")
    why = f"the machine did not start the command within {BOOT_SECONDS:g} s"
    return running.lost(why, kind=_kind(status))


def _gone(running: Running, status: protocol.Status) -> MachineError:
    try:
        running.process.wait(TAIL_SECONDS)
    except subprocess.TimeoutExpired:
        if PANIC.encode() not in running.console:
            return running.lost("the machine closed its status port")
    with contextlib.suppress(OSError):
        while data := running.sockets["console"].recv(CHUNK):
            running.keep(data)
    if PANIC.encode() in running.console:
        why = "the machine's kernel panicked"
    elif running.process.returncode not in (0, None):
        why = f"QEMU failed with status {running.process.returncode}"
    else:
        why = "the machine went down by itself"
    return running.lost(why + (" while the command ran" if status.ready else " before the command ran"))
