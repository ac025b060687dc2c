# SPDX-License-Identifier: Apache-2.0
"""Chooses the backend by the files that the kernel offers, never by its version."""

import os

from ocihook.spec import nodelimit
from ocihook.topology import nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.backends.backend import Backend
    from ocihook.config import Config


NAMES = ("node_limit", "tier", "migrate")  #: all backends; a test compares these with :func:`named`


def named(name: str) -> "Backend":
    """Import the backend package called *name*. Return it; for an unknown name, return ``tier``.

    An unknown name is no mistake: the record of a running container, and the answer of a running agent, can
    be from another version of Bede, which may have other backends. Such a container must not stay without a
    bound, and ``tier`` holds one wherever the kernel demotes. A test makes sure that no line is missing here.
    """
    if name == "migrate":
        from ocihook.backends import migrate

        return migrate
    if name == "node_limit":
        from ocihook.backends import node_limit

        return node_limit
    from ocihook.backends import tier

    return tier


def for_cgroup(cgroup_fd: int, config: "Config") -> "Backend":
    """Return the backend for the cgroup whose directory is *cgroup_fd*."""
    return named("node_limit") if _has(nodelimit.NAME, cgroup_fd) else stock(config)


def for_host(mount: str, config: "Config") -> "Backend":
    """Return the backend for a cgroup that will be made below the cgroup v2 *mount*."""
    return named("node_limit") if has_limits(mount) else stock(config)


def stock(config: "Config") -> "Backend":
    """Return the backend for a kernel without limits by node.

    It is ``migrate`` if the configuration names far nodes that are no lower memory tier.
    """
    return named("migrate" if nodes.is_emulated(config.far_nodes) else "tier")


def here(config: "Config") -> "Backend":
    """Return the backend of this host, as far as it can be determined without a container.

    This is for messages; a container's start asks :func:`for_cgroup` or :func:`for_host`.
    """
    return without_agent() or stock(config)


def without_agent() -> "Backend | None":
    """Return the backend that needs no agent; None if this kernel does not have it."""
    from ocihook.cgroup import path
    from ocihook.errors import BedeError

    try:
        return named("node_limit") if has_limits(path.mount_point()) else None
    except (BedeError, OSError):
        return None


def has_limits(mount: str) -> bool:
    """Return whether the kernel holds bounds by itself, by ``memory.node_limit``.

    The root cgroup has no such file, so its children are checked.
    """
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
