# SPDX-License-Identifier: Apache-2.0
"""Asks the API server of the machine's cluster, as its administrator."""

import http.client
import json
import os
import ssl
import threading
import time
import urllib.parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: The API server's; in a test of the control plane alone, it has a port of its own.
ADDRESS = ("127.0.0.1", int(os.environ.get("BEDE_CLUSTER_PORT", "6443")))
TOKEN = "admin-of-the-box"
JSON = "application/json"
STRATEGIC = "application/strategic-merge-patch+json"
SECONDS = 30.0  #: to wait for an answer
RETRIED = 1.0  #: seconds after which a list is read again after an error


class RefusedError(Exception):
    """The API server refused a request: its status, and the reason that it gives."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:300]}")
        self.status = status


class Api:
    """One connection to the API server; it is opened again after an error."""

    def __init__(self, seconds: float = SECONDS) -> None:
        # The certificate is made at each start, and nothing but this machine is on the way.
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        self._connection = http.client.HTTPSConnection(*ADDRESS, timeout=seconds, context=trusting)

    def text(self, method: str, path: str, body: object = None, kind: str = JSON) -> str:
        """The answer to a request. Raises RefusedError, OSError, http.client.HTTPException."""
        answer = self._ask(method, path, body, kind)
        return answer.read().decode()

    def ask(self, method: str, path: str, body: object = None, kind: str = JSON) -> "dict[str, Any]":
        """The object in the answer to a request. Raises as :meth:`text`."""
        found: dict[str, Any] = json.loads(self.text(method, path, body, kind))
        return found

    def lines(self, path: str) -> "http.client.HTTPResponse":
        """The answer to a watch, whose lines are events. Raises as :meth:`text`."""
        return self._ask("GET", path, None, JSON)

    def _ask(self, method: str, path: str, body: object, kind: str) -> "http.client.HTTPResponse":
        data = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        try:
            self._connection.request(method, path, data, headers)
            answer = self._connection.getresponse()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if answer.status >= 400:
            raise RefusedError(answer.status, answer.read().decode(errors="replace"))
        return answer


class Followed:
    """A list that is read once and watched from then on, each in a thread of its own."""

    def __init__(
        self,
        path: str,
        take: "Callable[[str, dict[str, Any]], None]",
        failed: "Callable[[str], None]",
    ) -> None:
        """Follow the list at *path*; *take* gets ADDED, MODIFIED or DELETED, and the object."""
        self._path, self._take, self._failed = path, take, failed

    def start(self) -> threading.Thread:
        """Begin."""
        thread = threading.Thread(target=self._follow, daemon=True)
        thread.start()
        return thread

    def _follow(self) -> None:
        there: dict[str, dict[str, Any]] = {}
        while True:
            # A connection's answers have to be read to their end, and a watch has none.
            api, watch = Api(), Api(seconds=3600)
            try:
                found = self._listed(api)
                for uid in there.keys() - found.keys():
                    self._take("DELETED", there[uid])
                for one in found.values():
                    self._take("ADDED", one)
                there = found
                for line in watch.lines(f"{self._path}?watch=1&resourceVersion={self._version}"):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        break  # the version is too old: begin with a new list
                    uid = event["object"]["metadata"]["uid"]
                    if event["type"] == "DELETED":
                        there.pop(uid, None)
                    else:
                        there[uid] = event["object"]
                    self._take(event["type"], event["object"])
            except (RefusedError, OSError, ValueError, http.client.HTTPException) as error:
                self._failed(f"{self._path}: {error}")
                time.sleep(RETRIED)

    def _listed(self, api: Api) -> "dict[str, dict[str, Any]]":
        found: dict[str, dict[str, Any]] = {}
        more = ""
        while True:
            page = api.ask("GET", f"{self._path}?limit=500{more}")
            found |= {one["metadata"]["uid"]: one for one in page["items"]}
            self._version = page["metadata"]["resourceVersion"]
            if not page["metadata"].get("continue"):
                return found
            more = f"&continue={urllib.parse.quote(page['metadata']['continue'])}"
