# SPDX-License-Identifier: Apache-2.0
"""A node of Kubernetes: the engine that its kubelet uses, and a mark for the kubelet.

With the mark, it keeps the node's capacity of local memory when it starts again. A kubelet that finds nothing
in its directory of device plugins takes the node for a new one. It sets extended resources to zero, and then
fails running pods that have requested them (``ShouldResetExtendedResourceCapacity`` in ``pkg/kubelet/cm``).
It removes files there, but not directories.
"""

from __future__ import annotations

import contextlib
import os

from ocihook import fs, host
from ocihook.engines import programs
from ocihook.errors import InputError, RuntimeMissingError

WORD = "kubernetes"  #: what `bede configure` takes for whichever engine the kubelet uses
#: by the engine's name, the socket at which it serves the kubelet
SOCKETS = {"containerd": "/run/containerd/containerd.sock", "crio": "/run/crio/crio.sock"}
PLUGINS = "/var/lib/kubelet/device-plugins"
MARK = "bede.dev"


def engine() -> str:
    """Return the name of the engine that serves this node's kubelet.

    Raises RuntimeMissingError if there is none, InputError if it may be either.
    """
    found = [name for name in SOCKETS if programs.find(name) is not None]
    serving = [name for name in found if os.path.exists(host.path(SOCKETS[name]))]
    names = serving or found
    if not names:
        raise RuntimeMissingError(
            "no engine for Kubernetes is installed: neither containerd nor crio", "Install one of them first"
        )
    if len(names) > 1:
        raise InputError("both containerd and crio are here", "Name the one that the kubelet uses")
    return names[0]


def keep_mark() -> None:
    """Make the mark, if it is missing. Best effort: the kubelet's directory may be elsewhere."""
    with contextlib.suppress(OSError):
        directory = fs.open_directory(host.path(PLUGINS))
        try:
            os.mkdir(MARK, 0o755, dir_fd=directory)
        finally:
            os.close(directory)


def mark_is_lost() -> bool:
    """Return whether the mark was removed, where it is mounted by itself: nobody can make it there again."""
    try:
        return os.stat(host.path(f"{PLUGINS}/{MARK}")).st_nlink == 0
    except OSError:
        return False


def remove_mark() -> bool:
    """Remove the mark. Return whether there was one."""
    try:
        directory = fs.open_directory(host.path(PLUGINS))
    except OSError:
        return False
    try:
        os.rmdir(MARK, dir_fd=directory)
    except OSError:
        return False
    finally:
        os.close(directory)
    return True
