# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the API server, over HTTP: objects by path, versions, conflicts, pages and watches.

It is a mock: what the real one does is tested in the machine's cluster (tests/vm/guest/cluster).
"""

import contextlib
import copy
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

from ocihook.cluster.api import Api

Json = dict[str, Any]


class FakeApiServer:
    """The objects, and what was asked."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}  # by path
        self.history: list[tuple[int, str, str, Json]] = []  # version, list, type, object
        self.version = 0
        self.oldest = 0  # versions below this are gone
        self.refusals: list[int] = []  # statuses to answer the next changes with
        self.asked: list[tuple[str, str]] = []
        self.page = 2
        self.changed = threading.Condition()

    def put(self, path: str, object: Json, kind: str = "MODIFIED") -> Json:
        with self.changed:
            self.version += 1
            where, _, name = path.rpartition("/")
            kind = kind if path in self.objects else "ADDED"
            meta = {"name": name, **object.get("metadata", {}), "resourceVersion": str(self.version)}
            self.objects[path] = {**object, "metadata": meta}
            self.history.append((self.version, where, kind, self.objects[path]))
            self.changed.notify_all()
            return self.objects[path]

    def delete(self, path: str) -> None:
        with self.changed:
            self.version += 1
            gone = self.objects.pop(path)
            gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
            self.history.append((self.version, path.rpartition("/")[0], "DELETED", gone))
            self.changed.notify_all()

    def compact(self) -> None:
        """Forget what happened, as etcd does after a while; watches that lag behind are told so."""
        with self.changed:
            self.oldest = self.version + 1
            self.changed.notify_all()

    def listed(self, where: str) -> list[Json]:
        return [
            one for path, one in sorted(self.objects.items()) if everywhere(path.rpartition("/")[0]) == where
        ]


def everywhere(where: str) -> str:
    """The list of all namespaces that has what the list *where* has, but for events and leases."""
    before, found, rest = where.partition("/namespaces/")
    is_ours = found and not rest.endswith(("/events", "/leases"))
    return f"{before}/{rest.partition('/')[2]}" if is_ours else where


def patched(old: Any, change: list[Json]) -> Any:
    """RFC 6902, as far as Bede uses it."""
    result = copy.deepcopy(old)
    for one in change:
        *path, last = one["path"].split("/")[1:]
        at = result
        for part in path:
            at = at[int(part)] if isinstance(at, list) else at[part]
        assert one["op"] in ("test", "add")
        if one["op"] == "add":
            at[last] = one["value"]
        else:
            assert at[last] == one["value"]
    return result


def changed(old: Any, change: Any) -> Any:
    return patched(old, change) if isinstance(change, list) else merged(old, change)


def merged(old: Any, change: Any) -> Any:
    """RFC 7386, which is what Bede's strategic patches amount to as well."""
    if not isinstance(change, dict) or not isinstance(old, dict):
        return change
    result = dict(old)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name, {}), value)
    return result


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeApiServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.fake.asked.append(("WATCH" if "watch" in query else "GET", parts.path))
        if "watch" in query:
            self._watch(parts.path, int(query["resourceVersion"]))
        elif parts.path in self.fake.objects:
            self._send(200, self.fake.objects[parts.path])
        elif "limit" in query:
            kind, _, value = query.get("fieldSelector", "").partition("=")
            items = self.fake.listed(parts.path)
            if kind == "metadata.name":
                items = [one for one in items if one["metadata"]["name"] == value]
            at = int(query.get("continue", 0))
            more = at + self.fake.page
            meta = {
                "resourceVersion": str(self.fake.version),
                "continue": str(more) if more < len(items) else "",
            }
            self._send(200, {"metadata": meta, "items": items[at:more]})
        else:
            self._refuse(404)

    def do_POST(self) -> None:
        self._change("POST")

    def do_PUT(self) -> None:
        self._change("PUT")

    def do_PATCH(self) -> None:
        self._change("PATCH")

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.fake.asked.append(("DELETE", self.path))
        if self.path in self.fake.objects:
            self.fake.delete(self.path)
            self._send(200, {"kind": "Status"})
        else:
            self._refuse(404)

    def _change(self, method: str) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.fake.asked.append((method, self.path))
        if self.fake.refusals:
            self._refuse(self.fake.refusals.pop(0))
            return
        path = self.path.removesuffix("/status")
        if method == "POST":
            path = f"{self.path}/{body['metadata']['name']}"
        old = self.fake.objects.get(path)
        wanted = body.get("metadata", {}).get("resourceVersion") if isinstance(body, dict) else None
        if method == "POST" and old is not None:
            self._refuse(409)
        elif method != "POST" and old is None:
            self._refuse(404)
        elif old is not None and wanted and wanted != old["metadata"]["resourceVersion"]:
            self._refuse(409)
        else:
            self._send(200, self.fake.put(path, changed(old, body) if method == "PATCH" else body))

    def _watch(self, where: str, version: int) -> None:
        fake = self.fake
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        seen = version
        with contextlib.suppress(OSError):
            while True:
                with fake.changed:
                    while version + 1 >= fake.oldest and not any(one[0] > seen for one in fake.history):
                        if not fake.changed.wait(20):
                            return
                    if seen + 1 < fake.oldest:
                        gone = {
                            "type": "ERROR",
                            "object": {"code": 410, "reason": "Expired", "message": "too old"},
                        }
                        self._chunk(gone)
                        self.wfile.write(b"0\r\n\r\n")
                        return
                    events = [one for one in fake.history if one[0] > seen]
                    seen = max(one[0] for one in events)
                for _, list_of, kind, object in events:
                    if everywhere(list_of) == where:
                        self._chunk({"type": kind, "object": object})

    def _chunk(self, event: Json) -> None:
        line = json.dumps(event).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def _refuse(self, status: int) -> None:
        self._send(
            status, {"kind": "Status", "message": f"no: {status}", "code": status, "reason": "Because"}
        )

    def _send(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@contextlib.contextmanager
def serving(fake: FakeApiServer) -> Iterator[Api]:
    """Serve *fake*; yields what asks it."""
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        settings = client.Configuration()
        settings.host = f"http://127.0.0.1:{server.server_port}"
        yield Api(settings)
    finally:
        server.shutdown()
        server.server_close()


def wait_until(what: str, reached: Any, seconds: float = 20.0) -> Any:
    """Wait until *reached* returns something, and return that."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, what
        time.sleep(0.01)
    return found
