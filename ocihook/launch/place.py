# SPDX-License-Identifier: Apache-2.0
"""A cgroup for one process: a transient scope of systemd's, or one of our own where systemd is not init.

Sources: org.freedesktop.systemd1(5), StartTransientUnit; cgroup-v2.rst, "Managing domain controllers".
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from ocihook import fs
from ocihook.cgroup import own, path, procfs
from ocihook.control import notify
from ocihook.engines import programs
from ocihook.errors import BedeError, HostError

PARENT = "bede"  #: the cgroup above those of our own
SECONDS = 20.0  #: in which systemd has to move a process


@contextlib.contextmanager
def placed(pid: int, name: str, what: str) -> Iterator[str]:
    """Process *pid* in a cgroup of its own that is called by *name*; its path below the cgroup root.

    *what* describes it to systemd. Afterwards what is empty is removed. Raises HostError.
    """
    if os.path.isdir(notify.SYSTEMD):
        # Empty, it goes by itself.
        yield _scope(pid, f"{_escaped(name)}.scope", ascii(what)[1:-1])
        return
    where = _own(pid, name)
    try:
        yield where
    finally:
        with contextlib.suppress(OSError, BedeError):
            os.rmdir(path.mount_point() + where)


def is_empty(where: str) -> bool:
    """Whether no process is left in the cgroup *where* or below it, or it is gone."""
    cgroup = path.open_below(where)
    if cgroup is None:
        return True
    with cgroup:
        # Not cgroup.events: new kernels count a process there for a moment after its parent has reaped it.
        try:
            return next(own.members(cgroup), None) is None
        except OSError:
            return False  # the agent removes the record later


def _escaped(name: str) -> str:
    """*name* as systemd-escape(1) writes what a unit's name may not have."""
    plain = ":_.-"
    return "".join(
        char if char.isascii() and (char.isalnum() or char in plain) else f"\\x{ord(char):02x}"
        for char in name
    )


def _scope(pid: int, unit: str, what: str) -> str:
    call = ["busctl", "--system", "--quiet", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"]
    call += ["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail"]
    # What it does with the unit's name, and with what is left of the unit when all of it has ended or failed.
    call += ["4", "PIDs", "au", "1", str(pid), "Description", "s", what]
    call += ["MemoryAccounting", "b", "true", "CollectMode", "s", "inactive-or-failed", "0"]
    try:
        programs.output(*call)
    except BedeError as error:
        raise HostError(
            f"systemd does not make a scope for the command: {error.message}",
            "See `systemctl status dbus` and journalctl -b",
        ) from None
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        where = procfs.cgroup_of(pid)
        if where is None:
            raise HostError("the process ended before systemd moved it into its cgroup", "Run it again")
        if where.endswith("/" + unit):
            return where
        time.sleep(0.005)
    raise HostError("systemd has not moved the command into its scope", f"See systemctl status {unit}")


def _own(pid: int, name: str) -> str:
    where = f"/{PARENT}/{name}"
    try:
        root = os.open(path.mount_point(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(PARENT, 0o755, dir_fd=root)
            for control in ("cgroup.subtree_control", f"{PARENT}/cgroup.subtree_control"):
                fs.write(control, "+memory", dir_fd=root)
            os.mkdir(where[1:], 0o755, dir_fd=root)
            fs.write(f"{where[1:]}/cgroup.procs", str(pid), dir_fd=root)
        finally:
            os.close(root)
    except OSError as error:
        raise HostError(
            f"no cgroup can be made for the command: {error.strerror}",
            "Bede needs cgroup v2 with the memory controller, and to be in the root of its tree",
        ) from None
    return where
