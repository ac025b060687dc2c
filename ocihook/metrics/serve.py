# SPDX-License-Identifier: Apache-2.0
"""Where `bede metrics` listens: at a loopback address or a Unix socket."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Callable

from ocihook.errors import AccessError, InputError
from ocihook.metrics.collect import Collector
from ocihook.metrics.server import PATH, Server

DEFAULT = "127.0.0.1:9475"
_SYNTAX = "Write a loopback address as 127.0.0.1:9475 or [::1]:9475, or the path of a socket"


def address(text: str) -> str | tuple[str, int]:
    """Return the path of a socket, or (loopback address, port). Raises InputError."""
    if text.startswith("/"):
        return text
    host, colon, port = text.rpartition(":")
    try:
        found = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port) if colon and port.isascii() and port.isdigit() else -1
        if not 0 <= number < 1 << 16:
            raise ValueError(port)
    except ValueError:
        raise InputError(f"{text[:80]!r} is no address to listen at", _SYNTAX) from None
    if not found.is_loopback:
        raise InputError(
            f"{found} is not a loopback address, and these figures are not for everybody",
            "Let a proxy that asks for a password stand in front of 127.0.0.1",
        )
    return str(found), number


def serve(where: str | tuple[str, int], ready: Callable[[str], None]) -> None:
    """Answer requests at *where* until interrupted. Raises AccessError.

    Call *ready* with the address once the server listens.
    """
    try:
        with _bound(where) as listener:
            server = Server(listener, "bede metrics", Collector)
            ready(_text(listener))
            server.serve_forever()
    except OSError as error:
        raise AccessError(
            f"cannot listen at {where if isinstance(where, str) else ':'.join(map(str, where))}:"
            f" {error.strerror or error}",
            "Choose another --listen",
        ) from None


def _bound(where: str | tuple[str, int]) -> socket.socket:
    if not isinstance(where, str):
        listener = socket.socket(socket.AF_INET6 if ":" in where[0] else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
    else:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        _remove_left(where)
        before = os.umask(0o117)
        try:
            listener.bind(where)
        finally:
            os.umask(before)
    listener.listen(16)
    return listener


def _remove_left(where: str) -> None:
    """Remove a socket at which nobody listens any more. Any other file stays, and then bind(2) fails."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(where, follow_symlinks=False).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.setblocking(False)
            if client.connect_ex(where) == errno.ECONNREFUSED:
                os.unlink(where)


def _text(listener: socket.socket) -> str:
    name = listener.getsockname()
    if isinstance(name, tuple):
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"http://{host}:{name[1]}{PATH}"
    return str(name)
