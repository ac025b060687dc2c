# SPDX-License-Identifier: Apache-2.0
"""Which backend holds a bound here. Asked of the kernel's files, never of its version."""

import os

from ocihook.spec import nodelimit
from ocihook.topology import nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.config import Config

NODE_LIMIT = "node_limit"
TIER = "tier"
MIGRATE = "migrate"


def for_cgroup(cgroup_fd: int, config: "Config") -> str:
    """The backend for the cgroup whose directory is *cgroup_fd*."""
    return NODE_LIMIT if _has(nodelimit.NAME, cgroup_fd) else stock(config)


def for_host(mount: str, config: "Config") -> str:
    """The backend for a cgroup that is still to be made below the cgroup v2 *mount*."""
    return NODE_LIMIT if has_limits(mount) else stock(config)


def stock(config: "Config") -> str:
    """The backend where the kernel has no limits by node: far nodes that are named may be no lower tier."""
    return MIGRATE if config.far_nodes and not nodes.is_lower(config.far_nodes) else TIER


def has_limits(mount: str) -> bool:
    """Whether the kernel holds bounds by itself. The root has no limits, so it is its children that tell."""
    try:
        root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and _has(f"{entry.name}/{nodelimit.NAME}", root):
                    return True
    except OSError:
        pass
    finally:
        os.close(root)
    return False


def _has(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True
