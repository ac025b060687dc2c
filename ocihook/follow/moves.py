# SPDX-License-Identifier: Apache-2.0
"""Reports processes that are moved to another cgroup: the tracepoint ``cgroup:cgroup_attach_task``.

Nothing else in the kernel reports it: cgroup files have no such event, and the process connector knows no
cgroups. Moves are rare, so parsing the text of a tracefs instance is fast enough, for all CPUs at once and
without BPF. That needs only root's files, whereas perf_event_open(2) needs CAP_SYS_ADMIN on Debian.
"""

from __future__ import annotations

import contextlib
import os
import re

from ocihook import fs, host
from ocihook.native import Event

TRACING = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_NAME = "instances/bede"
_EVENT = "events/cgroup/cgroup_attach_task"
_PART = 1 << 16
_MOST = 1 << 20  #: most bytes that are read at a time
_KIB = "64"  #: size of each CPU's buffer in KiB, for some five hundred moves
# A line contains names that anybody may choose, so it cannot be parsed reliably: every "pid=" in it counts,
# and the follower reads each of these processes' state from the kernel's files.
_PIDS = re.compile(rb"\bpid=(\d{1,7})\b")
_TIME = re.compile(rb" (\d+)\.(\d{6}): cgroup_attach_task: ")
_LOST = re.compile(rb"\[LOST \d+ EVENTS\]")


class Moves:
    """An instance of tracefs in which only this event is enabled. Raises OSError."""

    def __init__(self) -> None:
        self._where = self._make()
        for name, value in (("buffer_size_kb", _KIB), ("trace_clock", "mono"), (f"{_EVENT}/enable", "1")):
            fs.write(f"{self._where}/{name}", value)
        self._pipe = os.open(f"{self._where}/trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is something to read."""
        return self._pipe

    def read(self) -> tuple[list[Event], bool]:
        """Return (the moves that wait, whether some were lost). Raises OSError."""
        text = b""
        with contextlib.suppress(BlockingIOError):
            while len(text) < _MOST and (part := os.read(self._pipe, _PART)):
                text += part
        return parse(text)

    def close(self) -> None:
        """Stop listening, and remove the instance."""
        os.close(self._pipe)
        with contextlib.suppress(OSError):
            fs.write(f"{self._where}/{_EVENT}/enable", "0")
            os.rmdir(self._where)

    @staticmethod
    def _make() -> str:
        for root in map(host.path, TRACING):
            if os.path.isdir(f"{root}/{_EVENT}"):
                # An instance that a killed agent left behind is used again.
                with contextlib.suppress(FileExistsError):
                    os.mkdir(f"{root}/{_NAME}")
                return f"{root}/{_NAME}"
        raise FileNotFoundError(f"no {_EVENT} below {TRACING[0]}, where tracefs belongs")


def parse(text: bytes) -> tuple[list[Event], bool]:
    """Return (the moves in *text*, which is of a ``trace_pipe``; whether it says that some were lost)."""
    found: dict[int, int] = {}
    at_ns = 0
    for line in text.split(b"\n"):
        time = _TIME.search(line)
        if time:
            at_ns = int(time[1]) * 10**9 + int(time[2]) * 1000
        for pid in _PIDS.findall(line):
            found.setdefault(int(pid), at_ns)
    return [Event("move", pid, 0, at_ns) for pid, at_ns in found.items() if pid], bool(_LOST.search(text))
