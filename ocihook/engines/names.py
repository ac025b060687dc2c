# SPDX-License-Identifier: Apache-2.0
"""Containers' names, which only the engine that gave them knows.

Of what plain runc and crun, `ctr` and `bede run` start there is none: there the id is what a person chose.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from typing import Any

from ocihook.cgroup import names
from ocihook.engines import conmon, programs
from ocihook.errors import BedeError

DOCKER = "/run/docker.sock"  #: tests point it elsewhere
SECONDS = 3.0  #: a name is not worth more
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")  # of Docker and Podman


def of(containers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """{cgroup: name} of *containers*, each its (id, path of its cgroup); only the engines of any are asked.

    They are those of now, also of what was renamed. Without an answer there are no names.
    """
    podmans: list[tuple[str, str]] = []
    dockers: dict[str, str] = {}
    for id, where in containers:
        if "libpod-" in where:
            podmans.append((id, where))
        elif _is_dockers(id, where):
            dockers[where] = id
    found = conmon.names(podmans) if podmans else {}
    if dockers:
        by_id = _of_docker(set(dockers.values()))
        found |= {where: by_id.get(id, "") for where, id in dockers.items()}
    # Nobody else's word is taken for one.
    return {where: name for where, name in found.items() if _NAME.fullmatch(name)}


def annotations_of(id: str, cgroup: str) -> dict[str, str] | None:
    """The annotations that container *id* was made with, from the engine of its *cgroup*; None: unknown."""
    with contextlib.suppress(BedeError, OSError, ValueError, LookupError, TypeError, AttributeError):
        if "libpod-" in cgroup:
            text = programs.output("podman", "container", "inspect", id, seconds=SECONDS)
            return _strings(json.loads(text)[0]["Config"].get("Annotations"))
        if _is_dockers(id, cgroup):
            from ocihook.engines import dockerapi

            one: Any = dockerapi.get(DOCKER, f"/containers/{id}/json")
            return _strings(one["HostConfig"].get("Annotations"))
    return None


def _is_dockers(id: str, where: str) -> bool:
    """Whether it may be Docker's: without systemd's driver its parent is any that a person chose."""
    parent, _, last = where.rpartition("/")
    return "docker" in where or (last == id and names.is_generated(id) and "kubepods" not in parent)


def _of_docker(ids: set[str]) -> dict[str, str]:
    from ocihook.engines import dockerapi

    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        return dockerapi.names(DOCKER, ids)
    return {}


def _strings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(name): str(text) for name, text in value.items()}
