# SPDX-License-Identifier: Apache-2.0
"""Finds containers' names, which only the engine that gave them knows.

A container of a pod is called NAMESPACE/POD/CONTAINER. Containers of plain runc and crun, `ctr` and
`bede run` have no name: there a person chose the id.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from typing import Any

from ocihook.cgroup import names
from ocihook.engines import conmon, cri, programs
from ocihook.errors import BedeError

DOCKER = "/run/docker.sock"  #: tests point it elsewhere
SECONDS = 3.0  #: seconds to wait for an engine: a name is not worth a longer wait
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")  # what Docker and Podman accept as a name


def of(containers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return {cgroup: name} of *containers*, each given as (id, path of its cgroup).

    The names are current, even after a rename. Only engines that have one of the containers are asked; an
    engine that does not answer gives no names.
    """
    podmans: list[tuple[str, str]] = []
    cris: list[tuple[str, str]] = []
    dockers: dict[str, str] = {}
    for id, where in containers:
        if "libpod-" in where:
            podmans.append((id, where))
        elif names.is_of_pod(id, where):
            cris.append((id, where))
        elif _is_dockers(id, where):
            dockers[where] = id
    found = conmon.names(podmans) if podmans else {}
    members = cri.members(cris)
    # Docker can serve the kubelet, too (cri-dockerd).
    dockers |= {where: id for id, where in cris if where not in members and _is_dockers(id, where)}
    if dockers:
        by_id = _of_docker(set(dockers.values()))
        found |= {where: by_id.get(id, "") for where, id in dockers.items()}
    # Drop anything that no engine would accept as a name.
    accepted = {where: name for where, name in found.items() if _NAME.fullmatch(name)}
    return accepted | {where: cri.name_of(member) for where, member in members.items()}


def annotations_of(id: str, cgroup: str) -> dict[str, str] | None:
    """Return the annotations of container *id*, from the engine that made its *cgroup*; None if unknown."""
    with contextlib.suppress(BedeError, OSError, ValueError, LookupError, TypeError, AttributeError):
        if "libpod-" in cgroup:
            text = programs.output("podman", "container", "inspect", id, seconds=SECONDS)
            return _strings(json.loads(text)[0]["Config"].get("Annotations"))
        if names.is_of_pod(id, cgroup) and (found := cri.annotations_of(id)) is not None:
            return found
        if _is_dockers(id, cgroup):
            from ocihook.engines import dockerapi

            container: Any = dockerapi.get(DOCKER, f"/containers/{id}/json")
            return _strings(container["HostConfig"].get("Annotations"))
    return None


def _is_dockers(id: str, where: str) -> bool:
    """Return whether the container may be Docker's.

    The path tells little: without the systemd driver, users may choose any parent cgroup.
    """
    return "docker" in where or (where.rpartition("/")[2] == id and names.is_generated(id))


def _of_docker(ids: set[str]) -> dict[str, str]:
    from ocihook.engines import dockerapi

    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        return dockerapi.names(DOCKER, ids)
    return {}


def _strings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(name): str(text) for name, text in value.items()}
