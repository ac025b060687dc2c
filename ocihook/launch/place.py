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

PARENT = "bede"  #: the cgroup above those that Bede makes itself
SECONDS = 20.0  #: seconds that systemd gets to move a process


@contextlib.contextmanager
def placed(pid: int, name: str, what: str) -> Iterator[str]:
    """Put process *pid* into a cgroup of its own, and remove the cgroup at the end if it is empty.

    The cgroup is named after *name*; *what* describes it to systemd. The context's value is the path below
    the cgroup root. Raises HostError.
    """
    if os.path.isdir(notify.SYSTEMD):
        # systemd removes an empty scope by itself.
        yield _scope(pid, f"{_escaped(name)}.scope", ascii(what)[1:-1])
        return
    where = _own(pid, name)
    try:
        yield where
    finally:
        with contextlib.suppress(OSError, BedeError):
            os.rmdir(path.mount_point() + where)


def is_empty(where: str) -> bool:
    """Return whether the cgroup *where* is gone, or no process is left in it and below it."""
    cgroup = path.open_below(where)
    if cgroup is None:
        return True
    with cgroup:
        # Do not read cgroup.events: new kernels count a process there until a moment after it was reaped.
        try:
            return next(own.members(cgroup), None) is None
        except OSError:
            return False  # say "not empty": the agent removes the record later


def _escaped(name: str) -> str:
    """Return *name* with escapes, as of systemd-escape(1), for what a unit's name may not have."""
    plain = ":_.-"
    return "".join(
        char if char.isascii() and (char.isalnum() or char in plain) else f"\\x{ord(char):02x}"
        for char in name
    )


def _scope(pid: int, unit: str, what: str) -> str:
    call = ["busctl", "--system", "--quiet", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"]
    call += ["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail"]
    # CollectMode makes systemd forget the scope when it has ended, even if it failed.
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
