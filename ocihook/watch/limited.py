"""The containers whose bound the kernel holds by itself, found by the limits of their cgroups."""

from __future__ import annotations

import errno
import os
from typing import Any

from ocihook import config, fs
from ocihook.backends import amount, choose
from ocihook.cgroup import memory, names, path, tree
from ocihook.cgroup.path import Cgroup
from ocihook.errors import AccessError, HostError, InputError
from ocihook.spec import nodelimit
from ocihook.topology import nodes

PAGE = os.sysconf("SC_PAGE_SIZE")


def is_kernel() -> bool:
    """Whether the kernel of this host holds bounds by itself."""
    try:
        return choose.has_limits(path.mount_point())
    except (HostError, OSError):
        return False


def listing() -> list[dict[str, Any]]:
    """What ``bede ps`` shows of each cgroup with a limit on every local node; sizes in bytes."""
    tiers = _tiers()
    if tiers is None:
        return []
    found = []
    for cgroup in tree.having(path.mount_point(), nodelimit.NAME):
        try:
            status = _status(cgroup, tiers)
        except OSError:
            continue  # it has vanished
        found += [status] if status else []
    return found


def change(one: dict[str, Any], size: str) -> dict[str, Any]:
    """``bede set``: the status of container *one* of :func:`listing` with the new bound, as an agent's.

    Raises BedeError.
    """
    if os.geteuid() != 0:
        raise AccessError("only root may change a bound", "Use sudo")
    tiers = _tiers()
    cgroup = path.reopen(one["cgroup"], one["inode"])
    try:
        if cgroup is None or tiers is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        with cgroup:
            bound = amount.resolve(size, cgroup, tiers.local)
            given = memory.node_limits(cgroup.fd)
            local = {node: value for node in tiers.local if (value := given.get(node)) is not None}
            limits = nodelimit.split(bound, tiers.local, nodelimit.own_of(local))
            fs.write(nodelimit.NAME, nodelimit.dump(limits), dir_fd=cgroup.fd)
            status = _status(cgroup, tiers)
            useless = amount.useless(size, bound, cgroup, tiers.local)
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.ENOENT):
            raise InputError(f"container {names.short(one['id'])} has ended") from None
        raise HostError(f"cgroup {one['cgroup']} does not take the bound: {error.strerror}") from None
    return one | (status or {}) | {"useless": useless}


def _tiers() -> nodes.Tiers | None:
    try:
        return nodes.find(config.load().far_nodes)
    except HostError:
        return None


def _status(cgroup: Cgroup, tiers: nodes.Tiers) -> dict[str, Any] | None:
    """As the agent tells of those it holds; None without a limit on every local node. Raises OSError."""
    limits = memory.node_limits(cgroup.fd)
    bound = nodelimit.bound_of(limits, tiers.local)
    if bound is None:
        return None
    used = memory.node_usage(cgroup.fd)
    events = {name: pages * PAGE for name, pages in memory.node_events(cgroup.fd).items()}
    local = sum(used.get(node, 0) for node in tiers.local)
    return {
        "id": names.id_of(cgroup.path),
        "key": "",
        "pid": None,
        "cgroup": cgroup.path,
        "inode": cgroup.inode,
        "bound": bound,
        "nodes": {str(node): limits[node] for node in tiers.local},
        "local": local,
        "far": sum(used.get(node, 0) for node in tiers.far),
        "overshoot": max(local - bound, 0),
        "backend": choose.NODE_LIMIT,
        "runtime": "",
        **{f"{name}_bytes" if name == "steered" else name: size for name, size in events.items()},
        # What an agent tells of those it holds by moving pages; here there is nobody who would.
        "promoted": None,
        "own": 0,
        "mover_us": 0,
        "steered": False,
        "away": False,
        "stalled": False,
        "stalls": 0,
        "fence": None,
        "fence_events": 0,
        "rounds": 0,
    }
