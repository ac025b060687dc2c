# SPDX-License-Identifier: Apache-2.0
"""Tells systemd the state of the agent: sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket


def tell(state: str) -> None:
    """Send *state*, such as ``READY=1``, to the supervisor, if one listens."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if name[:1] not in ("/", "@"):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection, contextlib.suppress(OSError):
        connection.connect(name.replace("@", "\0", 1) if name[0] == "@" else name)
        connection.send(state.encode())


def watchdog_seconds() -> float | None:
    """Return the longest time between two ``WATCHDOG=1``, in seconds; None if systemd expects none."""
    value = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(value) / 1e6 if value.isdigit() and int(value) and ours else None
