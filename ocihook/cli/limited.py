"""The containers whose bound the kernel holds by itself, found by the limits of their cgroups."""

from __future__ import annotations

import errno
import os
from typing import Any

from ocihook import config, fs
from ocihook.backends import choose
from ocihook.cgroup import memory, names, path, tree
from ocihook.cgroup.path import Cgroup
from ocihook.errors import AccessError, HostError, InputError
from ocihook.spec import annotation, nodelimit
from ocihook.state import records
from ocihook.topology import nodes

PAGE = os.sysconf("SC_PAGE_SIZE")


def is_kernel() -> bool:
    """Whether the kernel of this host holds bounds by itself."""
    try:
        return choose.for_host(path.mount_point()) == choose.NODE_LIMIT
    except (HostError, OSError):
        return False


def any_held() -> bool:
    """Whether there are containers that only the agent can tell of. Raises AccessError."""
    return any(records.listing())


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


def change(name: str, amount: str) -> dict[str, Any] | None:
    """``bede set``: the status of container *name* with the new bound; None where there is no such one.

    *name* is an id, the path of a cgroup, or an unambiguous beginning of an id. Raises BedeError.
    """
    if os.geteuid() != 0:
        raise AccessError("only root may change a bound", "Use sudo")
    one = _find(name)
    tiers = _tiers()
    if one is None or tiers is None:
        return None
    cgroup = path.reopen(one["cgroup"], one["inode"])
    try:
        if cgroup is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        with cgroup:
            bound = annotation.Amount(annotation.LOCAL, amount).resolve(memory.container_limit(cgroup))
            given = memory.node_limits(cgroup.fd)
            local = {node: value for node in tiers.local if (value := given.get(node)) is not None}
            limits = nodelimit.split(bound, tiers.local, nodelimit.own_of(local))
            fs.write(nodelimit.NAME, nodelimit.dump(limits), dir_fd=cgroup.fd)
            return _status(cgroup, tiers)
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.ENOENT):
            raise InputError(f"container {one['id']} has ended") from None
        raise HostError(f"cgroup {one['cgroup']} does not take the bound: {error.strerror}") from None


def _tiers() -> nodes.Tiers | None:
    try:
        return nodes.find(config.load().far_nodes)
    except HostError:
        return None


def _find(name: str) -> dict[str, Any] | None:
    found = listing()
    exact = [one for one in found if name in (one["id"], one["cgroup"])]
    begins = [one for one in found if name and one["id"].startswith(name)]
    matches = exact or begins
    if len(matches) > 1:
        paths = ", ".join(one["cgroup"] for one in matches[:4])
        raise InputError(
            f"{name!r} is more than one container", f"Write more of the id, or the cgroup's path, of: {paths}"
        )
    return matches[0] if matches else None


def _status(cgroup: Cgroup, tiers: nodes.Tiers) -> dict[str, Any] | None:
    """As the agent tells of those it holds; None without a limit on every local node. Raises OSError."""
    limits = memory.node_limits(cgroup.fd)
    bound = nodelimit.bound_of(limits, tiers.local)
    if bound is None:
        return None
    used = memory.node_usage(cgroup.fd)
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
        **{name: pages * PAGE for name, pages in memory.node_events(cgroup.fd).items()},
        "stalled": False,
        "stalls": 0,
        "fence": None,
        "fence_events": 0,
        "rounds": 0,
    }
