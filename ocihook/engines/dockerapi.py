# SPDX-License-Identifier: Apache-2.0
"""What Docker's daemon answers on its socket. Imported where Docker has to be asked: it is not small."""

from __future__ import annotations

import http.client
import json
import os
import socket
import urllib.parse
from collections.abc import Collection
from typing import Any

SECONDS = 3.0  #: a name is not worth more
_FEW = 16  #: ids that a question names; of more all containers are asked


def names(socket_path: str, ids: Collection[str]) -> dict[str, str]:
    """{id: name} as the daemon has them now, of *ids* and perhaps of others. Raises OSError, ValueError."""
    ask = {"all": "1"} if len(ids) <= _FEW else {}
    if ask:
        ask["filters"] = json.dumps({"id": sorted(ids)})
    found = get(socket_path, f"/containers/json?{urllib.parse.urlencode(ask)}")
    if not isinstance(found, list):
        raise ValueError("not a list")
    return {one["Id"]: _own(one) for one in found if isinstance(one, dict) and isinstance(one.get("Id"), str)}


def _own(one: dict[str, Any]) -> str:
    """Its own of its names: by links it has those that others call it, as ``/other/alias``."""
    given = one.get("Names")  # one that is being removed has none
    texts = [text.removeprefix("/") for text in given if isinstance(text, str)] if given else []
    return next((text for text in texts if "/" not in text), "")


def get(socket_path: str, path: str) -> Any:
    """The answer to GET *path*. Raises OSError, ValueError."""
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
