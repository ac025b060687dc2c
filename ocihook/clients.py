# SPDX-License-Identifier: Apache-2.0
"""Clients of a server: where they come in, and what they may take of its time."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

from ocihook.errors import AccessError

WAITING = 128  #: most clients that may wait to be served; each takes a few hundred bytes of the kernel


def listen(port: int, option: str) -> socket.socket:
    """Return a socket that listens at *port* of all addresses, of IPv4 and, where the host has it, IPv6.

    Raises AccessError, which names the *option* that chose the port.
    """
    is_dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, backlog=WAITING, dualstack_ipv6=is_dual)
    except OSError as error:
        why = os.strerror(error.errno or 0)  # create_server puts the address into the error's own text
        raise AccessError(f"cannot listen at port {port}: {why}", f"Choose another {option}") from None


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
