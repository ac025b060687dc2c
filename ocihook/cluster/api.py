# SPDX-License-Identifier: Apache-2.0
"""Requests to the cluster's API server, answered with plain JSON.

The official client finds the server and its certificate, and renews the token; its connections carry our
requests. Its typed objects are not used: a list of 50,000 pods took them four times as long.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol, cast
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config
from kubernetes.client import rest

from ocihook.cluster.fields import Json
from ocihook.errors import ClusterError, printable

JSON = "application/json"
PATCH = "application/json-patch+json"  #: RFC 6902
MERGE = "application/merge-patch+json"  #: RFC 7386
STRATEGIC = "application/strategic-merge-patch+json"  #: of Kubernetes' own objects alone
PAGE = 500  #: objects in one answer to a list, as kubectl has it
_PATIENCE = urllib3.Timeout(connect=5.0, read=30.0)
#: Seconds that a watch lasts. The server ends it then, so a silent connection is noticed a little later.
_WATCH = 240
_WATCH_PATIENCE = urllib3.Timeout(connect=5.0, read=_WATCH + 30.0)
NOT_FOUND, CONFLICT = 404, 409  #: statuses of a :class:`RefusedError` that may be as good as success
_GONE, _TOO_MANY = 410, 429
_OBJECT = re.compile(r"<\S+ object at 0x[0-9a-f]+>:? ?")  # as urllib3 1.26 to 2.3 tell of a connection
_HINT = "See the cluster's control plane, and this program's kubeconfig or service account"


class RefusedError(ClusterError):
    """The API server refused a request; *status* is HTTP's, *reason* one of ``metav1.StatusReason``."""

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message, "")
        self.status = status
        self.reason = reason

    @property
    def passes(self) -> bool:
        """Whether the fault is the server's, so that the same request may be granted later."""
        return self.status == _TOO_MANY or self.status >= 500


class ExpiredError(ClusterError):
    """A watch cannot go on from its version (410 Gone): list again."""


class Event(NamedTuple):
    """One event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK, and the object."""

    type: str
    object: Json


class _Answer(Protocol):
    """What is used of urllib3's response, whose class has other names in other versions."""

    status: int
    data: bytes

    def read(self) -> bytes: ...
    def stream(self, amt: int, decode_content: bool) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class Api:
    """The API server. Threads may share it."""

    def __init__(self, settings: client.Configuration) -> None:
        settings.retries = False  # the callers know what may be done twice
        settings.connection_pool_maxsize = 16  # watches keep theirs
        self._settings = settings
        self.before_change: Callable[[], None] = lambda: None  #: is called before each change is sent
        self.progress: Callable[[], None] = lambda: None  #: is called after each request, whatever came of it
        self._pool = rest.RESTClientObject(settings).pool_manager

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Json:
        """Return the object at *path*. Raises ClusterError."""
        return _parsed(self._send("GET", path, query).data)

    def send(self, method: str, path: str, body: object, kind: str = JSON) -> Json:
        """Send *body*: POST, PUT, DELETE, or PATCH of a *kind*. Return the answer. Raises ClusterError."""
        self.before_change()
        return _parsed(self._send(method, path, None, body, kind).data)

    def pages(self, path: str, query: Mapping[str, object]) -> Iterator[Json]:
        """Yield the pages of the list at *path*. Raises ClusterError, ExpiredError if it took too long."""
        more: str | None = ""
        while more is not None:
            page = self.get(path, {"limit": PAGE, **query, **({"continue": more} if more else {})})
            yield page
            more = page["metadata"].get("continue") or None

    def watch(self, path: str, version: str, query: Mapping[str, object]) -> Iterator[Event]:
        """Yield what happens to the list at *path* after *version*, until the server ends the watch.

        Raises ClusterError, ExpiredError.
        """
        asked = {**query, "watch": 1, "resourceVersion": version, "timeoutSeconds": _WATCH}
        answer = self._send("GET", path, {**asked, "allowWatchBookmarks": "true"}, stream=True)
        try:
            for line in _lines(answer):
                event = _parsed(line)
                if event.get("type") == "ERROR":
                    _refuse(json.dumps(event["object"]).encode(), int(event["object"].get("code", 0)))
                yield Event(event["type"], event["object"])
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(error) from None
        finally:
            answer.close()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: object = None,
        kind: str = JSON,
        stream: bool = False,
    ) -> _Answer:
        headers = {"Accept": JSON, "User-Agent": "bede"}
        try:
            for one in self._settings.auth_settings().values():
                headers[one["key"]] = one["value"]
            data = None if body is None else json.dumps(body).encode()
            if data is not None:
                headers["Content-Type"] = kind
            answer = cast(
                _Answer,
                self._pool.request(
                    method,
                    f"{self._settings.host}{path}" + (f"?{urlencode(query)}" if query else ""),
                    body=data,
                    headers=headers,
                    timeout=_WATCH_PATIENCE if stream else _PATIENCE,
                    preload_content=not stream,
                    retries=False,
                    redirect=False,
                ),
            )
            if answer.status >= 300:
                _refuse(answer.read() if stream else answer.data, answer.status)
        except (urllib3.exceptions.HTTPError, config.ConfigException, OSError) as error:
            raise _unreachable(error) from None
        finally:
            self.progress()
        return answer


def connect(kubeconfig: str = "") -> Api:
    """Return the API server that the file *kubeconfig* names, or else that of the pod that this is in.

    Raises ClusterError.
    """
    settings = client.Configuration()
    try:
        if kubeconfig:
            config.load_kube_config(kubeconfig, client_configuration=settings)
        else:
            config.load_incluster_config(client_configuration=settings)
    except Exception as error:  # the client's errors, YAML's, and whatever a file of another form causes
        raise ClusterError(
            f"no cluster is known: {type(error).__name__}: {error}"[:400].rstrip("."),
            "Name one by --kubeconfig, or run this in a pod",
        ) from None
    return Api(settings)


def _lines(answer: _Answer) -> Iterator[bytes]:
    """Yield each line as soon as it has come."""
    left = b""
    for chunk in answer.stream(amt=1 << 16, decode_content=True):
        left += chunk
        *whole, left = left.split(b"\n")
        yield from filter(None, whole)


def _parsed(data: bytes) -> Json:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClusterError("the API server's answer is no JSON object", _HINT)
    return found


def _refuse(data: bytes, status: int) -> None:
    """Raise the error that the API server's ``Status`` object describes."""
    try:
        told = _parsed(data)
    except ClusterError:
        told = {"message": data[:200].decode(errors="replace")}
    # Others may have written it, as other webhooks do, and in more than one line.
    text = printable(" ".join(str(told.get("message")).split()))
    message = f"the API server refused: {text} ({status})"
    if status == _GONE:
        raise ExpiredError(message)
    raise RefusedError(message, status, str(told.get("reason", "")))


def _unreachable(error: Exception) -> ClusterError:
    # Without the address of an object in it: whoever repeats a failure says the same again.
    text = _OBJECT.sub("", f"{type(error).__name__}: {error}")
    return ClusterError(f"the API server cannot be reached: {text}"[:400], _HINT)
