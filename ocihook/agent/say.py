"""What the agent says: one line an event that matters, with fields to search for in the journal.

``journalctl -u bede-agent BEDE_CONTAINER=ID`` or ``BEDE_EVENT=returned`` finds them (docs/operating.md).
Source: systemd's JOURNAL_NATIVE_PROTOCOL.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from ocihook.errors import BedeError

SOCKET = "/run/systemd/journal/socket"  #: tests point it elsewhere
ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6  #: priorities of syslog(3)
_PAUSE = 10.0  #: seconds in which one container's events are counted instead of told
_MOST = 1024  #: containers that are remembered


def say(text: str, event: str, priority: int = NOTICE, container: str = "", **fields: object) -> None:
    """Tell of *event*, a word, by *text*: to the journal where standard error is one, else to that.

    *fields* become BEDE_NAME=VALUE there, sizes in bytes.
    """
    if not _to_journal(text, event, priority, fields | ({"container": container} if container else {})):
        print(f"bede agent: {_named(text, container)}", file=sys.stderr, flush=True)


def complain(error: BedeError, event: str, container: str = "") -> None:
    """Tell of *error*."""
    say(error.line("").removeprefix(": ").rstrip("."), event, ERROR, container)


class Speaker:
    """Lines about containers: the first at once, what follows within ten seconds as a number."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}

    def of(self, id: str, text: str, event: str, priority: int = NOTICE, **fields: object) -> None:
        """Say *text* of the container *id*."""
        now = time.monotonic()
        since, more = self._last.get(id, (-_PAUSE, 0))
        if now - since < _PAUSE:
            self._last[id] = (since, more + 1)
            return
        if len(self._last) >= _MOST:
            self._last.clear()
        self._last[id] = (now, 0)
        note = f" (and {more} more like this since the last line)" if more else ""
        say(text + note, event, priority, id, **fields)


def _named(text: str, container: str) -> str:
    return f"container {container}: {text}" if container else text


def _to_journal(text: str, event: str, priority: int, fields: dict[str, object]) -> bool:
    if not _is_journal():
        return False
    values = {
        "MESSAGE": _named(text, str(fields.get("container", ""))),
        "PRIORITY": priority,
        "SYSLOG_IDENTIFIER": "bede-agent",
        "BEDE_EVENT": event,
    }
    values |= {f"BEDE_{name.upper()}": value for name, value in fields.items()}
    # A field ends with its line, and what is in one may be anybody's.
    lines = [f"{name}={' '.join(str(value).splitlines())}" for name, value in values.items()]
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
