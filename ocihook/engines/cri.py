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
_known: dict[str, pod.Member] = {}
_MOST = 4096  # entries in _known


def members(containers: Iterable[tuple[str, str]]) -> dict[str, pod.Member]:
    """Return {cgroup: member of a pod} of *containers*, each given as (id, path of its cgroup).

    Those that belong to no pod are left out, and those whose bundle this user may not read.
    """
    found = {}
    for id, where in containers:
        if not is_cris(id, where):
            continue
        if id not in _known:
            member = pod.member_of(annotations_of(id) or {})
            if member is None or not _is_valid(member):
                continue
            if len(_known) >= _MOST:
                _known.clear()
            _known[id] = member
        found[where] = _known[id]
    return found


def name_of(member: pod.Member) -> str:
    """Return the name by which people call the *member*: ``NAMESPACE/POD/CONTAINER``."""
    return f"{member.namespace}/{member.pod}/{member.container}"


def annotations_of(id: str) -> dict[str, str] | None:
    """Return the annotations of container *id*, which :func:`is_cris`; None if its bundle cannot be read."""
    for bundle in BUNDLES:
        with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError, BedeError):
            directory = fs.open_directory(host.path(bundle.format(id=id)))
            try:
                flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
                fd = os.open("config.json", flags, dir_fd=directory)
            finally:
                os.close(directory)
            try:
                config = json.loads(fs.read_fd(fd, _LIMIT))
            finally:
                os.close(fd)
            return check_annotations(config.get("annotations")) or {}
    return None


def is_cris(id: str, where: str) -> bool:
    """Return whether the container *id* with the cgroup *where* may be one of a CRI engine's.

    By default the kubelet puts pods below ``kubepods``, but it can be told another place.
    """
    scope = where.rpartition("/")[2]
    return names.is_generated(id) and ("kubepods" in where or scope.startswith(("cri-containerd-", "crio-")))


def _is_valid(member: pod.Member) -> bool:
    parts = (member.namespace, member.pod, member.container)
    return all(_NAME.fullmatch(part) for part in parts) and _UID.fullmatch(member.uid) is not None
