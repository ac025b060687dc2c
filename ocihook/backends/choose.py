"""Which backend holds a bound here. Asked of the kernel's files, never of its version."""

import os

from ocihook.spec import nodelimit

NODE_LIMIT = "node_limit"
TIER = "tier"


def for_cgroup(cgroup_fd: int) -> str:
    """The backend for the cgroup whose directory is *cgroup_fd*."""
    return NODE_LIMIT if _has(nodelimit.NAME, cgroup_fd) else TIER


def for_host(mount: str) -> str:
    """The backend for a cgroup that is still to be made below the cgroup v2 *mount*.

    The root has no limits, so it is its children that tell.
    """
    try:
        root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return TIER
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and _has(f"{entry.name}/{nodelimit.NAME}", root):
                    return NODE_LIMIT
    except OSError:
        pass
    finally:
        os.close(root)
    return TIER


def _has(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True
