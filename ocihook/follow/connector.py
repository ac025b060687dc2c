# SPDX-License-Identifier: Apache-2.0
"""The subscription to the kernel's process connector, made by pyroute2 in a process of its own.

pyroute2 takes 26 MiB of memory and, on a slow machine, seconds to load, for one socket. So a child of the
agent makes that socket, passes it on and ends, while the agent adopts its containers.
"""

from __future__ import annotations

import os
import socket

from ocihook.errors import AgentError

_ROOM = 4 << 20  #: bytes of buffer, some five thousand events: a fork storm over several pauses
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
_OK = b"ok"


class Pending:
    """A subscription under way; its descriptor becomes readable when it can be finished."""

    def __init__(self, pid: int, ours: socket.socket) -> None:
        self._pid = pid
        self._ours = ours

    def fileno(self) -> int:
        """Return the descriptor, so that poll(2) accepts this object."""
        return self._ours.fileno()

    def finish(self) -> socket.socket:
        """Return the subscribed socket. Raises AgentError with the child's message."""
        with self._ours:
            try:
                text, fds, _, _ = socket.recv_fds(self._ours, 4096, 1)
            except OSError as error:
                text, fds = str(error).encode(), []
        os.waitpid(self._pid, 0)
        if text != _OK or not fds:
            raise AgentError(
                f"the process connector cannot be used: {text.decode(errors='replace') or 'it broke off'}",
                "Install pyroute2 0.7.7 or later; run the agent in the host's network namespace",
            )
        return socket.socket(fileno=fds[0])


def start() -> Pending:
    """Begin to subscribe. Return the pending subscription. Raises OSError.

    This forks, so call it before there are threads.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid:
        theirs.close()
        return Pending(pid, ours)
    try:
        _subscribe(theirs)
    finally:
        os._exit(0)


def _subscribe(theirs: socket.socket) -> None:
    # Close the agent's descriptors: this child must not keep its lock or its listener open.
    low = theirs.fileno()
    os.closerange(3, low)
    os.closerange(low + 1, os.sysconf("SC_OPEN_MAX"))
    try:
        from pyroute2.netlink.connector.cn_proc import ProcEventSocket

        made = ProcEventSocket()
        found = socket.socket(fileno=os.dup(made.fileno()))
        found.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        found.setblocking(False)
        made.bind()
        made.control(listen=True)
        socket.send_fds(theirs, [_OK], [found.fileno()])
    except Exception as error:
        theirs.send(f"{type(error).__name__}: {error}".encode()[:4000])
