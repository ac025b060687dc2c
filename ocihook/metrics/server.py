# SPDX-License-Identifier: Apache-2.0
"""An HTTP server that answers GET /metrics: for a few clients at a time, and each for a limited time."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from ocihook import clients

PATH = "/metrics"
SECONDS = 10.0  #: seconds in which a client must have sent its request and received the answer
AT_ONCE = 16  #: most clients at a time; a scrape takes milliseconds


Source = Callable[[], Collector]  #: returns what collects the figures of one scrape


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Answers whoever connects to *listener*, a socket that listens, with the figures of *source*.

    It reports errors in the name of *program*. `serve_forever` runs it.
    """

    daemon_threads = True

    def __init__(self, listener: socket.socket, program: str, source: Source) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.source = source
        self._program = program
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether fewer than :data:`AT_ONCE` clients are served. Others are hung up on."""
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the client, then make room for the next one."""
        try:
            with clients.within(SECONDS, request):
                super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, except for a client that went away."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.report(error)

    def report(self, error: BaseException) -> None:
        """Report an error of our own."""
        print(f"{self._program}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


class _Handler(BaseHTTPRequestHandler):
    server_version = "bede"
    sys_version = ""
    server: Server

    def do_GET(self) -> None:
        """Send the figures as text."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, explain=f"The figures are at {PATH}")
            return
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self.server.source())
        try:
            body = generate_latest(registry)
        except Exception as error:
            self.server.report(error)
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
