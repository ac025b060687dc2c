# SPDX-License-Identifier: Apache-2.0
"""An HTTPS server for the API server's questions; a new certificate is used as soon as it is there."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

from ocihook.errors import AccessError, InputError

Json = dict[str, Any]
Answer = Callable[[object], Json]  #: raises InputError
SECONDS = (
    10.0  #: in which a client must have sent its request; the API server waits for 10 seconds by default
)
AT_ONCE = 64  #: most clients at a time; an answer takes milliseconds
MOST = 4 << 20  #: bytes of a request: an object has 1.5 MiB at most in etcd, and an update has two
HEALTH = "/healthz"


class Certificate:
    """A certificate and its key in PEM, in a directory that a Secret is mounted at."""

    def __init__(self, directory: str) -> None:
        self._files = (f"{directory}/tls.crt", f"{directory}/tls.key")
        self._seen: tuple[tuple[int, int], ...] = ()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    def load(self) -> None:
        """Read the files, if they are not those that were read last. Raises AccessError."""
        try:
            seen = tuple((found.st_ino, found.st_mtime_ns) for found in map(os.stat, self._files))
            if seen != self._seen:
                self.context.load_cert_chain(*self._files)
                self._seen = seen
        except (OSError, ssl.SSLError) as error:
            raise AccessError(
                f"no certificate in {self._files[0]}: {error.strerror or error}",
                "Make the Secret, as docs/kubernetes.md says",
            ) from None


class _Handler(BaseHTTPRequestHandler):
    server_version = "bede"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = SECONDS
    server: _Server

    def do_GET(self) -> None:
        """Answer whoever asks whether it is alive."""
        self._send(200 if self.path == HEALTH else 404, b"ok\n" if self.path == HEALTH else b"")

    def do_POST(self) -> None:
        """Answer a review."""
        answer = self.server.paths.get(self.path.partition("?")[0])
        length = self.headers.get("Content-Length", "")
        if answer is None or not length.isdecimal() or int(length) > MOST:
            self.close_connection = True  # the body has not been read
            self._send(404 if answer is None else 413, b"")
            return
        try:
            body = json.dumps(answer(json.loads(self.rfile.read(int(length))))).encode()
        except (ValueError, RecursionError, InputError) as error:
            self._send(400, f"{error}\n".encode())
            return
        self._send(200, body, "application/json")

    def _send(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: a line for each pod would be useless."""


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, certificate: Certificate, paths: Mapping[str, Answer]) -> None:
        self.address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        self.paths = paths
        self._certificate = certificate
        self._free = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(("", port), _Handler)

    def server_bind(self) -> None:
        """Listen for IPv4 as well."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether fewer than :data:`AT_ONCE` clients are served. Others are hung up on."""
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the client, whose handshake may take its time here, and then make room for the next one."""
        try:
            with contextlib.suppress(OSError, AccessError):
                request.settimeout(SECONDS)
                with contextlib.suppress(AccessError):
                    self._certificate.load()  # with half a new one there, the old one is good for a while
                request = self._certificate.context.wrap_socket(request, server_side=True)
                super().process_request_thread(request, client_address)
        finally:
            self.shutdown_request(request)
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, except for a client that went away."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"bede-webhook: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def serve(port: int, directory: str, paths: Mapping[str, Answer], ready: Callable[[], None]) -> None:
    """Answer POST requests for *paths* at *port*, with the certificate in *directory*. Raises AccessError.

    Call *ready* once it listens.
    """
    certificate = Certificate(directory)
    certificate.load()
    try:
        server = _Server(port, certificate, paths)
    except OSError as error:
        raise AccessError(
            f"cannot listen at port {port}: {error.strerror}", "Choose another --port"
        ) from None
    with server:
        ready()
        server.serve_forever()
