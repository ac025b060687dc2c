# SPDX-License-Identifier: Apache-2.0
"""What the agent says: one line an event that matters, with fields to search for in the journal.

``journalctl -u bede-agent BEDE_CONTAINER=ID``, ``BEDE_NAME=NAME`` or ``BEDE_EVENT=returned`` finds them
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
_PAUSE = 10.0  #: seconds in which one container's events are counted instead of told
_MOST = 1024  #: containers that are remembered


class Line(NamedTuple):
    """One event."""

    text: str
    event: str  #: a word
    priority: int = NOTICE
    container: str = ""  #: id
    fields: Mapping[str, object] = {}  #: become BEDE_NAME=VALUE in the journal, sizes in bytes


class Writer(Protocol):
    """Who says lines, with the names of their containers."""

    def know(self, container: str, cgroup: str) -> None:
        """Of this container there may be lines."""

    def put(self, line: Line) -> None:
        """Say it."""


voice: Writer | None = None  #: without one, lines are said at once, by ids alone


def report(text: str, event: str, priority: int = NOTICE, container: str = "", **fields: object) -> None:
    """Tell of *event* by *text*: to the journal where standard error is one, else to that.

    *container* is an id; :class:`Line` says what the others are.
    """
    line = Line(text, event, priority, container, fields)
    if voice is not None:
        voice.put(line)
    else:
        tell(line)


def know(container: str, cgroup: str) -> None:
    """There may be lines of *container*, which is in *cgroup*."""
    if voice is not None:
        voice.know(container, cgroup)


def tell(line: Line, name: str = "") -> None:
    """Say *line* now; *name* is its container's."""
    text = _named(line, name)
    if not _to_journal(text, line, name):
        print(f"bede agent: {text}", file=sys.stderr, flush=True)


def complain(error: BedeError, event: str, container: str = "") -> None:
    """Tell of *error*."""
    report(error.line("").removeprefix(": ").rstrip("."), event, ERROR, container)


class Reporter:
    """Lines about containers: the first at once, what follows within ten seconds as a number."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}

    def of(self, id: str, text: str, event: str, priority: int = NOTICE, **fields: object) -> None:
        """Say *text* of the container *id*; of "", of none that is known."""
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
    # A field ends with its line, and what is in one may be anybody's.
    lines = [f"{field}={' '.join(str(value).splitlines())}" for field, value in values.items()]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.setblocking(False)
        try:
            connection.sendto("\n".join([*lines, ""]).encode("utf-8", "replace"), SOCKET)
        except OSError:
            return False
    return True


def _is_journal() -> bool:
    """Whether standard error goes to the journal, by what systemd.exec(5) says of JOURNAL_STREAM."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))
