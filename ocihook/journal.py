# SPDX-License-Identifier: Apache-2.0
"""The agent's journal: one line for each event that matters, with fields to search for.

``journalctl -u bede-agent BEDE_CONTAINER=ID``, ``BEDE_NAME=NAME`` or ``BEDE_EVENT=returned`` finds lines
(docs/operating.md).
Source: systemd's JOURNAL_NATIVE_PROTOCOL.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from ocihook.cgroup import names
from ocihook.errors import BedeError

SOCKET = "/run/systemd/journal/socket"  #: tests point it elsewhere
ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6  #: priorities of syslog(3)
_PAUSE = 10.0  #: seconds after a line in which the container's further events are only counted
_MOST = 1024  #: most containers that are remembered; at this number all are forgotten


class Line(NamedTuple):
    """One event."""

    text: str
    event: str  #: one of the words in docs/operating.md
    priority: int = NOTICE
    container: str = ""  #: the container's id
    fields: Mapping[str, object] = {}  #: written to the journal as BEDE_NAME=VALUE, sizes in bytes


class Writer(Protocol):
    """Writes lines, with the names of their containers."""

    def know(self, container: str, cgroup: str) -> None:
        """Note that there may be lines about this container later."""

    def put(self, line: Line) -> None:
        """Write *line*."""


writer: Writer | None = None  #: the thread that adds names; None: lines are written immediately, with ids


def report(text: str, event: str, priority: int = NOTICE, container: str = "", **fields: object) -> None:
    """Report *event* by *text*, to the journal if standard error goes there, else to standard error.

    *container* is an id. :class:`Line` describes the other parameters.
    """
    line = Line(text, event, priority, container, fields)
    if writer is not None:
        writer.put(line)
    else:
        tell(line)


def know(container: str, cgroup: str) -> None:
    """Note that there may be lines about *container*, which is in *cgroup*, later."""
    if writer is not None:
        writer.know(container, cgroup)


def tell(line: Line, name: str = "") -> None:
    """Write *line* now; *name* is the name of its container."""
    text = _named(line, name)
    if not _to_journal(text, line, name):
        print(f"bede agent: {text}", file=sys.stderr, flush=True)


def complain(error: BedeError, event: str, container: str = "") -> None:
    """Report *error*, with its hint, as an ERROR."""
    report(error.line("").removeprefix(": ").rstrip("."), event, ERROR, container)


class Reporter:
    """Reports events of containers: the first at once, those of the next ten seconds only as a number."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}

    def of(self, id: str, text: str, event: str, priority: int = NOTICE, **fields: object) -> None:
        """Report *text* about the container *id*, or only count it if ten seconds have not passed.

        *id* is "" if the container is unknown.
        """
        now = time.monotonic()
        since, more = self._last.get(id, (-_PAUSE, 0))
        if now - since < _PAUSE:
            self._last[id] = (since, more + 1)
            return
        if len(self._last) >= _MOST:
            self._last.clear()
        self._last[id] = (now, 0)
        note = f" (and {more} more like this since the last line)" if more else ""
        report(text + note, event, priority, id, **fields)


def _named(line: Line, name: str) -> str:
    if not line.container:
        return line.text
    id = names.short(line.container)
    who = f"{name} ({id})" if name and name != id else id
    return f"container {who}: {line.text}"


def _to_journal(text: str, line: Line, name: str) -> bool:
    if not _is_journal():
        return False
    values: dict[str, object] = {
        "MESSAGE": text,
        "PRIORITY": line.priority,
        "SYSLOG_IDENTIFIER": "bede-agent",
        "BEDE_EVENT": line.event,
    }
    values |= {f"BEDE_{field.upper()}": value for field, value in line.fields.items()}
    values |= {"BEDE_CONTAINER": line.container} if line.container else {}
    values |= {"BEDE_NAME": name} if name else {}
    # A newline ends a field. Others may have chosen a name in a value, so no value may contain a newline.
    lines = [f"{field}={' '.join(str(value).splitlines())}" for field, value in values.items()]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.setblocking(False)
        try:
            connection.sendto("\n".join([*lines, ""]).encode("utf-8", "replace"), SOCKET)
        except OSError:
            return False
    return True


def _is_journal() -> bool:
    """Return whether standard error goes to the journal, by JOURNAL_STREAM of systemd.exec(5)."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))
