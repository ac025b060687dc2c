# SPDX-License-Identifier: Apache-2.0
"""Messages of the hook, one line each, for whoever started the container.

runc shows a hook's output only if the hook fails, crun (whose hooks write to /dev/null) never. So a message
that the user must see goes to the runtime's own standard error, found as ``/proc/PPID/fd/2``.
"""

import os
import stat
import time

from ocihook import host
from ocihook.spec import fastjson

_NULL = os.makedev(1, 3)


def line(text: str) -> None:
    """Write *text* to standard error, whatever file that is."""
    _write(2, text)


def failure(text: str) -> None:
    """Write *text* to standard error, and to the runtime's where the runtime would not show ours."""
    line(text)
    if _hidden():
        _to_runtime(text)
        # Podman shows the runtime's log, not the runtime's standard error.
        _to_log(text)


def warning(text: str) -> None:
    """Write *text* to the runtime's own standard error: runtimes do not show ours if the hook succeeds."""
    if not _to_runtime(text):
        line(text)


def _hidden() -> bool:
    try:
        found = os.fstat(2)
    except OSError:
        return True
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == _NULL


def _to_runtime(text: str) -> bool:
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(host.path(f"/proc/{os.getppid()}/fd/2"), flags)
    except OSError:
        return False
    try:
        return _write(fd, text)
    finally:
        os.close(fd)


def _to_log(text: str) -> None:
    words = host.read(f"/proc/{os.getppid()}/cmdline").split("\0")
    name = ""
    for at, word in enumerate(words):
        if word.startswith("--log="):
            name = word[6:]
        elif word == "--log" and at + 1 < len(words):
            name = words[at + 1]
    name = name.removeprefix("file:")
    if not name.startswith("/"):
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        # Open without O_CREAT: write only to a log that the runtime has made.
        fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _write(fd, fastjson.dumps({"level": "error", "msg": text, "time": now}))
    finally:
        os.close(fd)


def _write(fd: int, text: str) -> bool:
    try:
        os.write(fd, (text + "\n").encode("utf-8", "replace"))
    except OSError:
        return False
    return True
