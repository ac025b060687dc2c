# SPDX-License-Identifier: Apache-2.0
"""Notices that a machine has stopped doing anything while it boots, and asks it what it waits for."""

import contextlib
import re
import socket
import time

from ocihook.cgroup import process

SECONDS = 20.0  #: between two looks at QEMU's CPU time
BUSY_SHARE = 0.1  #: of a CPU: a machine that boots uses more than this even on a crowded host
ANSWER_SECONDS = 2.0
CHUNK = 1 << 16
REGISTERS = re.compile(r"^CPU#\d+|\b[RE]IP=[0-9a-f]+|\bHLT=\d", re.MULTILINE)
TASK = re.compile(r"task:(\S+)\s+state:(\S).*?\bppid:(\d+)")
KERNEL = "2"  #: the parent of the kernel's own threads


class Watch:
    """Watches whether QEMU, which runs as *pid*, has done nothing for SECONDS."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._used = process.cpu_seconds(pid)
        self.due = time.monotonic() + SECONDS  #: when to look again

    def still(self) -> bool:
        """Whether QEMU has done nothing since the last look. False until the next look is due."""
        if time.monotonic() < self.due:
            return False
        used, self._used = self._used, process.cpu_seconds(self._pid)
        self.due = time.monotonic() + SECONDS
        return self._used - used < BUSY_SHARE * SECONDS


def questioned(monitor: socket.socket, console: socket.socket) -> list[str]:
    """Where the machine's CPUs are (from QEMU's monitor), and its tasks (from the kernel's magic SysRq)."""
    registers = _asked(monitor, monitor, b"info registers -a\n")
    lines = ["cpus: " + " ".join(REGISTERS.findall(registers))]
    tasks = ""
    for key in (b"9", b"t"):  # all messages, all tasks
        with contextlib.suppress(OSError):
            monitor.sendall(b"chardev-send-break console\n")
            time.sleep(0.1)  # the break comes by the monitor; the key must not arrive before it
        tasks += _asked(console, console, key)
    named = [f"{name} {state}" for name, state, parent in TASK.findall(tasks) if parent != KERNEL]
    return [*lines, "tasks: " + (", ".join(named) or "the kernel does not answer")]


def _asked(to: socket.socket, of: socket.socket, words: bytes) -> str:
    said = b""
    end = time.monotonic() + ANSWER_SECONDS  # a console may never stop printing
    with contextlib.suppress(OSError):
        to.setblocking(True)
        to.sendall(words)
        while (left := end - time.monotonic()) > 0:
            of.settimeout(left)
            if not (data := of.recv(CHUNK)):
                break
            said += data
    return said.decode(errors="replace")
