# SPDX-License-Identifier: Apache-2.0
"""Requests to the socket of Docker's daemon. Large, so it is only imported when Docker has to be asked."""

from __future__ import annotations

import http.client
import json
import os
import socket
import urllib.parse
from collections.abc import Collection
from typing import Any

SECONDS = 3.0  #: seconds to wait for Docker: a name is not worth a longer wait
_FEW = 16  #: most ids in one request; for more, one request asks for all containers


def names(socket_path: str, ids: Collection[str]) -> dict[str, str]:
    """Return the current {id: name} of *ids*, and perhaps of other containers. Raises OSError, ValueError."""
    ask = {"all": "1"} if len(ids) <= _FEW else {}
    if ask:
        ask["filters"] = json.dumps({"id": sorted(ids)})
    found = get(socket_path, f"/containers/json?{urllib.parse.urlencode(ask)}")
    if not isinstance(found, list):
        raise ValueError("not a list")
    containers = [item for item in found if isinstance(item, dict) and isinstance(item.get("Id"), str)]
    return {container["Id"]: _own(container) for container in containers}


def _own(container: dict[str, Any]) -> str:
    """Return the container's own name. Links give it aliases as well, such as ``/other/alias``."""
    given = container.get("Names")  # a container that is being removed has no names
    texts = [text.removeprefix("/") for text in given if isinstance(text, str)] if given else []
    return next((text for text in texts if "/" not in text), "")


def get(socket_path: str, path: str) -> Any:
    """Return the answer to GET *path*. Raises OSError, ValueError."""
    connection = _Unix(socket_path)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(answer.reason)
        return json.loads(answer.read(64 << 20))
    except http.client.HTTPException as error:
        raise ValueError(str(error)) from None
    finally:
        connection.close()


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        found = os.stat(self._path)
        if found.st_uid != 0 and found.st_uid != os.geteuid():
            raise PermissionError(f"{self._path} is not root's")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)
