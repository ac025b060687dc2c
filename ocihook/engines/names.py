"""Containers' names, which only the engine that gave them knows."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
from collections.abc import Iterable
from typing import Any

from ocihook import fs
from ocihook.cgroup import kin, path
from ocihook.engines import programs
from ocihook.errors import BedeError

DOCKER = "/run/docker.sock"  #: tests point it elsewhere
SECONDS = 3.0  #: a name is not worth more
_GENERATIONS = 32  # processes of the container, one the child of another, up to conmon
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")  # of Docker and Podman


def of(containers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """{cgroup: name} of *containers*, each its (id, path of its cgroup); only the engines of any are asked.

    Without an answer there are no names.
    """
    found: dict[str, str] = {}
    of_docker: dict[str, str] | None = None
    for id, where in containers:
        if "libpod-" in where:
            found[where] = _of_conmon(id, where)
        elif "docker" in where:
            of_docker = _of_docker() if of_docker is None else of_docker
            found[where] = of_docker.get(id, "")
    return {where: name for where, name in found.items() if name}


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
        pid = kin.parent_of(pid) if pid else 0
        inside = kin.cgroup_of(pid) or where
        # What is inside chooses its own command line, and would choose its name.
        if inside == where or inside.startswith(where + "/"):
            continue
        words = fs.read_or(f"{path.PROC}/{pid}/cmdline", "").split("\0")
        if words[0].endswith("conmon") and id in words and "-n" in words[:-1]:
            return _name(words[words.index("-n") + 1])
    return ""


def _of_docker() -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        return {one["Id"]: _name(one["Names"][0].lstrip("/")) for one in _docker("/containers/json")}
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


def _name(text: str) -> str:
    """*text* where it is a name that an engine gives; nobody else's word is taken for one."""
    return text if _NAME.fullmatch(text) else ""
