# SPDX-License-Identifier: Apache-2.0
"""Asks the API server of the machine's cluster, as its administrator."""

import http.client
import json
import ssl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ADDRESS = ("127.0.0.1", 6443)
TOKEN = "admin-of-the-box"
JSON = "application/json"
STRATEGIC = "application/strategic-merge-patch+json"
SECONDS = 30.0  #: to wait for an answer


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
