# SPDX-License-Identifier: Apache-2.0
"""Identifies a process beyond its pid, which the kernel reuses.

Sources: ``/proc/PID/stat`` and ``/proc/PID/ns/*``.
"""

import os

from ocihook import fs, host
from ocihook.errors import InputError

NAMESPACES = ("pid", "cgroup", "mnt")  #: the namespaces a record keeps


def start_time(pid: int) -> int | None:
    """Return when *pid* started, in clock ticks since boot; None if it is gone or dead.

    Source: field 22 of ``stat``.
    """
    fields = _fields(pid)
    if len(fields) < 20 or fields[0] in ("Z", "X"):
        return None
    return fs.number(fields[19])


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of *pid* with its threads (fields 14 and 15 of ``stat``); 0 if it is gone."""
    return sum(int(ticks) for ticks in _fields(pid)[11:13]) / os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str]:
    """Return the fields of ``stat`` from the third on; an empty list if *pid* is gone."""
    try:
        text = fs.read(host.path(f"/proc/{pid}/stat"))
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The second field is the program's name in parentheses, and may contain both spaces and parentheses.
    return text.rpartition(")")[2].split()


def is_same(pid: int, start: int) -> bool:
    """Return whether the process with *pid* that started at *start* is still alive."""
    return start_time(pid) == start


def namespaces(pid: int) -> dict[str, int]:
    """Return the inode of each of :data:`NAMESPACES` of *pid*. Raises OSError when it is gone."""
    return {name: os.stat(host.path(f"/proc/{pid}/ns/{name}")).st_ino for name in NAMESPACES}


def identity(pid: int) -> tuple[int, dict[str, int]]:
    """Return (start time, namespaces) of *pid*. Raises InputError when it is gone."""
    try:
        start = start_time(pid)
        if start is not None:
            return start, namespaces(pid)
    except (FileNotFoundError, ProcessLookupError):
        pass
    raise InputError(f"process {pid} is gone, the container has ended")


def caller() -> str:
    """Return the name of the runtime, which is this hook's parent, or "" if it is unknown.

    The OCI state does not contain that name.
    """
    name = host.read(f"/proc/{os.getppid()}/comm").strip()
    return name if name in ("runc", "crun", "youki") else ""
