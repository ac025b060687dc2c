# SPDX-License-Identifier: Apache-2.0
"""Facts about a process: its namespaces, its cgroup, its private memory.

Sources: ``/proc/PID/{cgroup,status,smaps_rollup}``, ``/proc/PID/ns/*``, ioctl_ns(2). A process may end
between any two of these calls: a caller that acts on the results must hold a pidfd all the while.
"""

from __future__ import annotations

import fcntl
import os

from ocihook import fs, host

_NS_GET_PARENT = 0xB702


def cgroup_of(pid: int) -> str | None:
    """Return the path of the cgroup that *pid* is in, from the hierarchy's root; None when it is gone."""
    for line in host.read(f"/proc/{pid}/cgroup").split("\n"):
        if line.startswith("0::/"):
            return line[3:]
    return None


def namespace(pid: int, name: str) -> int | None:
    """Return the inode of namespace *name* ("pid", "cgroup", "mnt") of *pid*; None when it is gone."""
    try:
        return os.stat(host.path(f"/proc/{pid}/ns/{name}")).st_ino
    except OSError:
        return None


def hold_namespace(pid: int, name: str) -> int | None:
    """Return an open descriptor of that namespace; None if *pid* is gone.

    While the descriptor is open, no other namespace gets the same inode.
    """
    try:
        return os.open(host.path(f"/proc/{pid}/ns/{name}"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def outer_pid_namespaces(pid: int) -> list[int]:
    """Return the inodes of the pid namespaces around that of *pid*, the nearest first."""
    found: list[int] = []
    fd = hold_namespace(pid, "pid")
    while fd is not None:
        try:
            outer = fcntl.ioctl(fd, _NS_GET_PARENT)
        except OSError:
            outer = None  # we may not look into namespaces further out
        os.close(fd)
        fd = outer
        if fd is not None:
            os.set_inheritable(fd, False)
            found.append(os.fstat(fd).st_ino)
    return found


def status(pid: int) -> dict[str, str]:
    """Return the fields of ``/proc/PID/status``; empty when *pid* is gone."""
    lines = host.read(f"/proc/{pid}/status").split("\n")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def parent_of(pid: int) -> int:
    """Return the pid of the parent of *pid*; 0 if one of the two is gone."""
    return fs.number(status(pid).get("PPid", "")) or 0


def is_first(pid: int) -> bool:
    """Return whether *pid* is the first process of its pid namespace, which ends with that process."""
    return status(pid).get("NSpid", "").split()[-1:] == ["1"]


def private_bytes(pid: int) -> int:
    """Return the bytes of *pid* that no other process maps; 0 if *pid* is gone."""
    total = 0
    for line in host.read(f"/proc/{pid}/smaps_rollup").split("\n"):
        name, _, value = line.partition(":")
        if name in ("Private_Clean", "Private_Dirty"):
            total += (fs.number(value.removesuffix("kB").strip()) or 0) << 10
    return total


def everybody() -> list[int]:
    """Return all processes of the host, older numbers first."""
    return sorted(int(name) for name in os.listdir(host.path("/proc")) if name.isdigit())
