# SPDX-License-Identifier: Apache-2.0
"""An HTTP server on a loopback address or a Unix socket that answers requests for one path."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import socketserver
import stat
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ocihook.errors import AccessError, InputError
from ocihook.metrics.collect import Collector

PATH = "/metrics"
DEFAULT = "127.0.0.1:9475"
SECONDS = 10.0  #: seconds in which a client must have sent its request and received the answer
AT_ONCE = 16  #: most clients at a time; a scrape takes milliseconds
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


class Handler(BaseHTTPRequestHandler):
    """Answers GET /metrics."""

    server_version = "bede"
    sys_version = ""

    def setup(self) -> None:
        """Prepare the connection, and limit its total time: a slow client would extend it by each byte."""
        super().setup()
        self._late = threading.Timer(SECONDS, _hang_up, (self.connection,))
        self._late.daemon = True
        self._late.start()

    def finish(self) -> None:
        """Finish the connection, and cancel its time limit."""
        self._late.cancel()
        super().finish()

    def do_GET(self) -> None:
        """Send the figures as text."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, explain=f"The figures are at {PATH}")
            return
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Collector())
        try:
            body = generate_latest(registry)
        except Exception as error:
            print(f"bede metrics: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self.send_error(500)
            return
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def address_string(self) -> str:
        """Return the client's address for messages; the client of a Unix socket has none."""
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: a line for each scrape would be useless."""


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether fewer than :data:`AT_ONCE` clients are served. Others are hung up on."""
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the client, then make room for the next one."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, except for a client that went away."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"bede metrics: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def serve(where: str | tuple[str, int], ready: Callable[[str], None]) -> None:
    """Answer requests at *where* until interrupted. Raises AccessError.

    Call *ready* with the address once the server listens.
    """
    try:
        with _bound(where) as listener:
            server = _Server()
            server.socket.close()
            server.socket = listener
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
