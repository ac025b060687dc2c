# SPDX-License-Identifier: Apache-2.0
"""A machine that does nothing any more while it boots: noticing it, and asking it what it waits for."""

import contextlib
import re
import socket
import time

from ocihook.cgroup import process

SECONDS = 20.0  #: of a machine's time in which it should have done something
BUSY_SHARE = 0.1  #: of a processor, which a machine that boots takes even on a crowded host
ANSWER_SECONDS = 2.0
CHUNK = 1 << 16
REGISTERS = re.compile(r"^CPU#\d+|\b[RE]IP=[0-9a-f]+|\bHLT=\d", re.MULTILINE)
TASK = re.compile(r"task:(\S+)\s+state:(\S).*?\bppid:(\d+)")
KERNEL = "2"  #: the parent of the kernel's own threads


class Watch:
    """Whether QEMU, which runs as *pid*, has stood still for SECONDS."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._used = process.cpu_seconds(pid)
        self.due = time.monotonic() + SECONDS  #: when to look again

    def still(self) -> bool:
        """To be asked at any time; False until it is due."""
        if time.monotonic() < self.due:
            return False
        used, self._used = self._used, process.cpu_seconds(self._pid)
        self.due = time.monotonic() + SECONDS
        return self._used - used < BUSY_SHARE * SECONDS


def questioned(monitor: socket.socket, console: socket.socket) -> list[str]:
    """Where its CPUs are, and which tasks it has: by QEMU's monitor and the kernel's magic SysRq."""
    registers = _asked(monitor, monitor, b"info registers -a\n")
    lines = ["cpus: " + " ".join(REGISTERS.findall(registers))]
    tasks = ""
    for key in (b"9", b"t"):  # all messages, all tasks
        with contextlib.suppress(OSError):
            monitor.sendall(b"chardev-send-break console\n")
            time.sleep(0.1)  # the key shall not pass the break, which comes another way
        tasks += _asked(console, console, key)
    named = [f"{name} {state}" for name, state, parent in TASK.findall(tasks) if parent != KERNEL]
    return [*lines, "tasks: " + (", ".join(named) or "the kernel does not answer")]


def _asked(to: socket.socket, of: socket.socket, words: bytes) -> str:
    said = b""
    end = time.monotonic() + ANSWER_SECONDS  # a console may go on for ever
    with contextlib.suppress(OSError):
        to.setblocking(True)
        to.sendall(words)
        while (left := end - time.monotonic()) > 0:
            of.settimeout(left)
            if not (data := of.recv(CHUNK)):
                break
            said += data
    return said.decode(errors="replace")
