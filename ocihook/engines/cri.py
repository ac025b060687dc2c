# SPDX-License-Identifier: Apache-2.0
"""Finds which container of which pod a container is, in the bundle that its CRI engine made for it.

A bundle stays where it is, and what is looked up stays the same, as long as the container exists.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable

from ocihook import fs, host
from ocihook.cgroup import names
from ocihook.errors import BedeError
from ocihook.spec import pod
from ocihook.spec.state import check_annotations

#: where CRI engines keep the bundle of a container
BUNDLES = (
    "/run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}",
    "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{id}",  # k3s and RKE2
    "/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}",
    "/run/containers/storage/overlay-containers/{id}/userdata",  # CRI-O
)
_LIMIT = 16 << 20  #: bytes of a config.json
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # RFC 1123, as the API server checks it
_UID = re.compile(r"[A-Za-z0-9-]{0,64}")
_known: dict[tuple[str, str], pod.Member | None] = {}  # by id and cgroup, if the bundle could be read
_MOST = 4096  # entries in _known


def members(containers: Iterable[tuple[str, str]]) -> dict[str, pod.Member]:
    """Return {cgroup: member of a pod} of *containers*, each given as (id, path of its cgroup).

    Those that belong to no pod are left out, and those whose bundle this user may not read.
    """
    found = {}
    for id, where in containers:
        if not names.is_of_pod(id, where):
            continue
        if (id, where) not in _known:
            config = _config(id)
            if config is None:
                continue
            if len(_known) >= _MOST:
                _known.clear()
            _known[id, where] = _member(config) if _is_in(config, where) else None
        member = _known[id, where]
        if member is not None:
            found[where] = member
    return found


def _member(config: object) -> pod.Member | None:
    with contextlib.suppress(BedeError):
        member = pod.member_of(_annotations(config))
        return member if member is not None and _is_valid(member) else None
    return None


def name_of(member: pod.Member) -> str:
    """Return the name by which people call the *member*: ``NAMESPACE/POD/CONTAINER``."""
    return f"{member.namespace}/{member.pod}/{member.container}"


def annotations_of(id: str) -> dict[str, str] | None:
    """Return the annotations of a pod's container *id*; None if its bundle cannot be read."""
    config = _config(id)
    with contextlib.suppress(BedeError):
        return None if config is None else _annotations(config)
    return None


def _config(id: str) -> object:
    """Return what is in the config.json of container *id*; None if it cannot be read."""
    for bundle in BUNDLES:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            directory = fs.open_directory(host.path(bundle.format(id=id)))
            try:
                flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
                fd = os.open("config.json", flags, dir_fd=directory)
            finally:
                os.close(directory)
            try:
                config: object = json.loads(fs.read_fd(fd, _LIMIT))
            finally:
                os.close(fd)
            return config
    return None


def _annotations(config: object) -> dict[str, str]:
    return (check_annotations(config.get("annotations")) if isinstance(config, dict) else None) or {}


def _is_in(config: object, where: str) -> bool:
    """Return whether the engine was told the cgroup *where*: a user can make one that is named alike.

    With systemd it is told ``SLICE:PREFIX:NAME`` (runc's libcontainer/cgroups/systemd).
    """
    told = config.get("linux") if isinstance(config, dict) else None
    told = told.get("cgroupsPath") if isinstance(told, dict) else None
    if not isinstance(told, str):
        return False
    slice, colon, scope = told.partition(":")
    if colon:
        parts = slice.removesuffix(".slice").split("-")
        above = "".join(f"/{'-'.join(parts[: n + 1])}.slice" for n in range(len(parts))) if slice else ""
        told = f"{above}/{scope.replace(':', '-')}.scope"
    return names.without_leaf(where) == told


def _is_valid(member: pod.Member) -> bool:
    parts = (member.namespace, member.pod, member.container)
    return all(_NAME.fullmatch(part) for part in parts) and _UID.fullmatch(member.uid) is not None
