# SPDX-License-Identifier: Apache-2.0
"""An HTTPS server for the API server's questions; a new certificate is used as soon as it is there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

from ocihook import clients
from ocihook.cluster.fields import Json
from ocihook.cluster.webhook import review
from ocihook.errors import AccessError, InputError

Answer = Callable[[object], Json]  #: raises InputError
SECONDS = 10.0  #: for a client's next byte; the API server waits for an answer for as long by default
WHOLE = 15.0  #: seconds for a handshake, and for a request from its first byte to its answer
#: Seconds between two requests. The API server ends an idle connection after 90 (client-go,
#: transport/cache.go). If it were ended here, a request could be under way: it would fail, and the pod be
#: made as it is.
IDLE = 120.0
LIFE = 60.0  #: seconds after which an answer is a connection's last: another webhook may have become ready
#: Clients at a time; an answer takes milliseconds. Of more, the oldest has to go: of those that have had no
#: answer, if there are such.
AT_ONCE = 64
MOST = 4 << 20  #: bytes of a request: an object has 1.5 MiB at most in etcd, and an update has two
#: Bytes of a longer request, which is only searched for a sign of Bede: JSON is longer than what etcd has.
SCANNED = 16 << 20
#: Bytes; of longer bodies LARGE are in memory at a time. Most reviews have some 20 KB, and 64 bodies of 4 MiB
#: are more than the webhook's limit of memory.
SMALL = 256 << 10
LARGE = 4
LARGE_SECONDS = (
    2.0  #: for such a body to come, and to wait for the others': the API server waits for 5 in all
)
PARSED = 1  #: bodies that are in memory as objects at a time: these take up to thirty times as much
HEALTH = "/healthz"
#: Seconds for which a server that was told to end goes on: API servers ask it until they know that it goes.
LEAVING = 10.0


class Certificate:
    """A certificate and its key in PEM, in a directory that a Secret is mounted at."""

    def __init__(self, directory: str) -> None:
        self._files = (f"{directory}/tls.crt", f"{directory}/tls.key")
        self._seen: tuple[tuple[int, int], ...] = ()
        self.context = _context()

    def load(self) -> None:
        """Read the files, if they are not those that were read last. Raises AccessError."""
        try:
            seen = tuple((found.st_ino, found.st_mtime_ns) for found in map(os.stat, self._files))
            if seen != self._seen:
                context = _context()  # a pair that does not fit would spoil the one in use
                context.load_cert_chain(*self._files)
                self.context, self._seen = context, seen
        except (OSError, ssl.SSLError) as error:
            raise AccessError(
                f"no certificate in {self._files[0]}: {error.strerror or error}",
                "Make the Secret, as docs/kubernetes.md says",
            ) from None


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Handler(BaseHTTPRequestHandler):
    server_version = "bede"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = SECONDS
    # An answer goes at once and whole: its end would wait 40 ms for the client to acknowledge its beginning.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def setup(self) -> None:
        """Begin to serve a client."""
        super().setup()
        self._began = time.monotonic()
        self._answers = 0

    def handle_one_request(self) -> None:
        """Wait for the next request, and answer it."""
        self.connection.settimeout(IDLE if self._answers else SECONDS)
        try:
            is_there = bool(self.rfile.peek(1))  # type: ignore[attr-defined]
        except TimeoutError:
            is_there = False
        if not is_there:
            self.close_connection = True
            return
        self.connection.settimeout(SECONDS)
        with self.server.within(WHOLE), self.server.at_work():
            super().handle_one_request()

    def do_GET(self) -> None:
        """Answer whoever asks whether it is alive, and stays so."""
        if self.path != HEALTH:
            self._send(404, b"")
        elif self.server.leaving:
            self._send(503, b"ends\n")
        else:
            self._send(200, b"ok\n")

    def do_POST(self) -> None:
        """Answer a review."""
        answer = self.server.paths.get(self.path.partition("?")[0])
        length = self.headers.get("Content-Length", "")
        if answer is None or not length.isdecimal() or int(length) > SCANNED:
            self.close_connection = True  # the body has not been read
            self._send(404 if answer is None else 413, b"")
            return
        if int(length) > MOST:
            self._scan(int(length))
        elif int(length) <= SMALL:
            self._review(answer, int(length))
        elif self.server.large.acquire(timeout=LARGE_SECONDS):
            try:
                self._review(answer, int(length))
            finally:
                self.server.large.release()
        else:
            self.close_connection = True
            self._send(503, b"too many large requests\n")

    def _review(self, answer: Answer, length: int) -> None:
        try:
            data = self._body(length)
            with self.server.parsing:
                body = json.dumps(answer(json.loads(data))).encode()
        except (ValueError, RecursionError, InputError) as error:
            self._send(400, f"{error}\n".encode())
            return
        self._send(200, body, "application/json")

    def _scan(self, length: int) -> None:
        # Unanswered, a change of a pod would be made without any check.
        head, found, last = b"", False, b""
        while length and (part := self.rfile.read(min(length, 1 << 16))):
            length -= len(part)
            head = head or part
            found = found or review.SIGN in last + part
            last = part[-len(review.SIGN) :]
        try:
            answer = review.of_unread(head, found)
        except InputError as error:
            self._send(400, f"{error}\n".encode())
            return
        self._send(200, json.dumps(answer).encode(), "application/json")

    def _body(self, length: int) -> bytes:
        if length <= SMALL:
            return self.rfile.read(length)
        # Whoever sends one byte after another would keep the others waiting.
        with self.server.within(LARGE_SECONDS):
            return self.rfile.read(length)

    def _send(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.server.leaving or time.monotonic() - self._began >= LIFE:
            self.send_header("Connection", "close")  # which ends it here as well, once this has been sent
        self.end_headers()
        self.wfile.write(body)
        self._answers += 1
        if kind != "text/plain":
            self.server.answered()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: a line for each pod would be useless."""


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True

    def __init__(
        self, listener: socket.socket, certificate: Certificate, paths: Mapping[str, Answer]
    ) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.paths = paths
        self._certificate = certificate
        self.parsing = threading.BoundedSemaphore(PARSED)
        self.large = threading.BoundedSemaphore(LARGE)
        self._clients: dict[int, socket.socket] = {}  # by descriptor, the oldest first
        self._answered: set[int] = set()  # those of them that have had a review's answer
        self._here = threading.local()  # the client that a thread serves
        self._lock = threading.Lock()
        self.leaving = False  #: whether it was told to end
        self._requests = 0  # that are being answered
        self._idle = threading.Condition()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the client in a thread; hang up on the oldest ones if there are too many."""
        with self._lock:
            self._clients[request.fileno()] = request
            known = [number for number in self._clients if number in self._answered]
            order = [number for number in self._clients if number not in self._answered] + known
            for number in order[: max(0, len(order) - AT_ONCE)]:
                clients.hang_up(self._clients[number])
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the client, whose handshake may take its time here."""
        number = request.fileno()
        self._here.client = request
        try:
            with contextlib.suppress(OSError):
                request.settimeout(SECONDS)
                with contextlib.suppress(AccessError):
                    self._certificate.load()  # with half a new one there, the old one is good for a while
                # A copy of the descriptor, so that others can hang up on the first one.
                with self.within(WHOLE):
                    secure = self._certificate.context.wrap_socket(request.dup(), server_side=True)
                super().process_request_thread(secure, client_address)
        finally:
            with self._lock:
                self._clients.pop(number, None)
                self._answered.discard(number)
            self.shutdown_request(request)

    def within(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        """Hang up on the client that this thread serves, if the block takes longer than that."""
        return clients.within(seconds, self._here.client)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Count a request as one that is being answered."""
        with self._idle:
            self._requests += 1
        try:
            yield
        finally:
            with self._idle:
                self._requests -= 1
                self._idle.notify_all()

    def leave(self) -> None:
        """Go on for a while, hang up after each answer, and end with the last one."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # systemd tells it as well where a host goes down
        self.leaving = True
        time.sleep(LEAVING)
        self.shutdown()
        self.socket.close()  # who comes now goes to another one at once
        with self._idle:
            self._idle.wait_for(lambda: not self._requests, WHOLE)
        with self._lock:
            for client in self._clients.values():
                clients.hang_up(client)

    def answered(self) -> None:
        """Note that the client that this thread serves has had a review's answer."""
        with self._lock:
            self._answered.add(self._here.client.fileno())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, except for a client that went away."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"bede-webhook: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def serve(port: int, directory: str, paths: Mapping[str, Answer], ready: Callable[[], None]) -> None:
    """Answer POST requests for *paths* at *port*, with the certificate in *directory*. Raises AccessError.

    Call *ready* once it listens. If a signal raises SystemExit, it is raised when nobody asks any more.
    """
    certificate = Certificate(directory)
    certificate.load()
    with _Server(clients.listen(port, "--port"), certificate, paths) as server:
        serving = threading.Thread(target=server.serve_forever, name="server", daemon=True)
        serving.start()
        ready()
        try:
            serving.join()
        except SystemExit:
            server.leave()
            raise
