# SPDX-License-Identifier: Apache-2.0
"""Finds all cgroups of a host that have a certain file, each as an open descriptor."""

import os

from ocihook import fs
from ocihook.cgroup.path import Cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def having(mount: str, name: str) -> "Iterator[Cgroup]":
    """Yield each cgroup below *mount* that has the controller's file *name*, a parent before its children.

    The cgroup stays open until the next one is requested. Cgroups that vanish meanwhile are left out. The
    search stops below a cgroup without the file, because a child has only controllers that its parent has.
    """
    root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Keep paths rather than descriptors: cgroups may be nested deeper than our limit of open files.
        waiting = below(root, "/")
        while waiting:
            path = waiting.pop()
            try:
                cgroup = Cgroup(mount, path, fs.open_below(root, path))
            except OSError:
                continue
            with cgroup:
                try:
                    os.stat(name, dir_fd=cgroup.fd, follow_symlinks=False)
                except OSError:
                    continue
                yield cgroup
                waiting += below(cgroup.fd, path + "/")
    finally:
        os.close(root)


def below(directory: int, prefix: str) -> list[str]:
    """Return the paths of the cgroups directly in *directory*, each behind *prefix*, in reverse order."""
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [prefix + name for name in sorted(names, reverse=True)]
