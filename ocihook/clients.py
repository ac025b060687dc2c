# SPDX-License-Identifier: Apache-2.0
"""Clients of a server: what they may take of its time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


def hang_up(connection: socket.socket) -> None:
    """End a connection, in whichever thread it is served."""
    with contextlib.suppress(OSError):  # it has ended already
        connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def within(seconds: float, connection: socket.socket) -> Iterator[None]:
    """Hang up on *connection* if the block takes longer. A socket's own limit starts anew at each byte."""
    timer = threading.Timer(seconds, hang_up, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
