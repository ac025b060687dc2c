"""Containers' names, which only the engine that gave them knows."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterable
from typing import Any

from ocihook import fs
from ocihook.cgroup import kin, path
from ocihook.engines import programs
from ocihook.errors import BedeError

DOCKER = "/run/docker.sock"  #: tests point it elsewhere
SECONDS = 3.0  #: a name is not worth more
_GENERATIONS = 5  # between a container's first process and conmon is at most a runtime


def of(containers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """{id: name} of *containers*, each its (id, path of its cgroup); only engines that made any are asked.

    Without an answer there are no names.
    """
    found: dict[str, str] = {}
    docker = False
    for id, where in containers:
        if "libpod-" in where and (name := _of_conmon(id, where)):
            found[id] = name
        docker |= "docker" in where
    return found | (_of_docker() if docker else {})


def annotations_of(id: str, cgroup: str) -> dict[str, str] | None:
    """The annotations that container *id* was made with, from the engine of its *cgroup*; None: unknown."""
    with contextlib.suppress(BedeError, OSError, ValueError, LookupError, TypeError, AttributeError):
        if "libpod-" in cgroup:
            text = programs.output("podman", "container", "inspect", id, seconds=SECONDS)
            return _strings(json.loads(text)[0]["Config"].get("Annotations"))
        if "docker" in cgroup:
            return _strings(_docker(f"/containers/{id}/json")["HostConfig"].get("Annotations"))
    return None


def _of_conmon(id: str, where: str) -> str:
    """The name in the command line of conmon(8), which Podman starts above each container; "" for none.

    To run Podman would take a hundred times as long, and is not for a process without privileges.
    """
    cgroup = None
    with contextlib.suppress(BedeError):
        cgroup = path.open_below(where)
    if cgroup is None:
        return ""
    with cgroup:
        pid = fs.number(fs.read_or("cgroup.procs", "", dir_fd=cgroup.fd).partition("\n")[0]) or 0
    for _ in range(_GENERATIONS):
        words = fs.read_or(f"{path.PROC}/{pid}/cmdline", "").split("\0")
        if words[0].endswith("conmon") and id in words and "-n" in words[:-1]:
            return _printable(words[words.index("-n") + 1])
        pid = kin.parent_of(pid) if pid else 0
    return ""


def _of_docker() -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        return {one["Id"]: _printable(one["Names"][0].lstrip("/")) for one in _docker("/containers/json")}
    return {}


def _docker(path: str) -> Any:
    """The answer of Docker's API. Raises OSError, ValueError."""
    connection = _Unix(DOCKER)
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


def _strings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(name): str(text) for name, text in value.items()}


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]
