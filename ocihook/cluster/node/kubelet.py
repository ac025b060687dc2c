# SPDX-License-Identifier: Apache-2.0
"""A mark for the kubelet, so that it keeps a node's capacity of local memory when it starts again.

A kubelet that finds nothing in its directory of device plugins takes the node for a new one. It sets
extended resources to zero, and then fails running pods that have requested them
(``ShouldResetExtendedResourceCapacity`` in ``pkg/kubelet/cm``). It removes files there, but not directories.
"""

from __future__ import annotations

import contextlib
import os

from ocihook import fs, host

PLUGINS = "/var/lib/kubelet/device-plugins"
MARK = "bede.dev"


def keep_mark() -> None:
    """Make the mark, if it is missing. Best effort: the kubelet's directory may be elsewhere."""
    with contextlib.suppress(OSError):
        directory = fs.open_directory(host.path(PLUGINS))
        try:
            os.mkdir(MARK, 0o755, dir_fd=directory)
        finally:
            os.close(directory)


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
