"""An HTTP server on a loopback address or a socket that answers one path, and nobody else."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import socketserver
import stat
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ocihook.errors import AccessError, InputError
from ocihook.metrics.collect import Collector

PATH = "/metrics"
DEFAULT = "127.0.0.1:9475"
SECONDS = 10.0  #: in which a client has to have asked
_SYNTAX = "Write a loopback address as 127.0.0.1:9475 or [::1]:9475, or the path of a socket"


def address(text: str) -> str | tuple[str, int]:
    """The path of a socket, or (loopback address, port). Raises InputError."""
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


class Handler(BaseHTTPRequestHandler):
    """Answers GET /metrics."""

    timeout = SECONDS
    server_version = "bede"
    sys_version = ""

    def do_GET(self) -> None:
        """The figures as text."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, explain=f"The figures are at {PATH}")
            return
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Collector())
        body = generate_latest(registry)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def address_string(self) -> str:
        """Whoever it is: a socket has no address."""
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line a scrape is a line that does not matter."""


class _Server(socketserver.TCPServer):
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no event."""


def serve(where: str | tuple[str, int], ready: Callable[[str], None]) -> None:
    """Answer at *where* until interrupted; *ready* is called with it once it listens. Raises AccessError."""
    try:
        with _bound(where) as listener:
            server = _Server(("", 0), Handler, bind_and_activate=False)
            server.socket.close()
            server.socket = listener
            # One after the other: a scrape takes milliseconds, and many at once would be an attack.
            ready(_text(listener))
            server.serve_forever()
    except OSError as error:
        raise AccessError(
            f"cannot listen at {where if isinstance(where, str) else ':'.join(map(str, where))}:"
            f" {error.strerror}",
            "Choose another --listen",
        ) from None


def _bound(where: str | tuple[str, int]) -> socket.socket:
    if not isinstance(where, str):
        listener = socket.socket(socket.AF_INET6 if ":" in where[0] else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
    else:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(where, follow_symlinks=False).st_mode):
                os.unlink(where)
        before = os.umask(0o117)
        try:
            listener.bind(where)
        finally:
            os.umask(before)
    listener.listen(16)
    return listener


def _text(listener: socket.socket) -> str:
    name = listener.getsockname()
    if isinstance(name, tuple):
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"http://{host}:{name[1]}{PATH}"
    return str(name)
