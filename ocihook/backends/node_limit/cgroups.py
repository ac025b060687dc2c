# SPDX-License-Identifier: Apache-2.0
"""The containers whose bound the kernel holds by itself, found by the limits of their cgroups."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace

from ocihook import config, host
from ocihook.backends import amount, node_limit
from ocihook.cgroup import memory, names, path, tree
from ocihook.cgroup.path import Cgroup
from ocihook.control.status import Change, Status
from ocihook.errors import AccessError, HostError, InputError
from ocihook.spec import nodelimit
from ocihook.state import chosen
from ocihook.topology import nodes

#: The cgroups of a rootless user, whose hooks read the user's files of chosen bounds, not root's.
_OF_USER = re.compile(r"/user\.slice/user-[1-9]\d*\.slice/user@")


def listing() -> list[Status]:
    """Return what ``bede ps`` shows of each cgroup with a limit on every local node; sizes are in bytes."""
    tiers = _tiers()
    if tiers is None:
        return []
    found = []
    for cgroup in tree.having(path.mount_point(), nodelimit.NAME):
        try:
            status = _status(cgroup, tiers)
        except OSError:
            continue  # the cgroup has vanished
        found += [status] if status else []
    return found


def change(container: Status, size: str) -> Change:
    """Carry out ``bede set`` for *container* of :func:`listing`. Return the change. Raises BedeError."""
    if os.geteuid() != 0:
        raise AccessError("only root may change a bound", "Use sudo")
    tiers = _tiers()
    lasts, useless = True, ""
    cgroup = path.reopen(container.cgroup, container.inode)
    try:
        if cgroup is None or tiers is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        with cgroup:
            given = memory.node_limits(cgroup.fd)
            if size == amount.DEFAULT:
                memory.set_node_limits(cgroup.fd, _first(container.id))
                chosen.forget(container.id)
            else:
                bound = amount.resolve(size, cgroup, tiers.local)
                local = {node: value for node in tiers.local if (value := given.get(node)) is not None}
                memory.set_node_limits(
                    cgroup.fd, nodelimit.split(bound, tiers.local, nodelimit.own_of(local))
                )
                is_users = _OF_USER.match(cgroup.path) is not None
                if not is_users:
                    _choose(container.id, bound, given)
                lasts = not is_users and not names.is_of_pod(container.id, container.cgroup)
                useless = amount.useless(size, bound, cgroup, tiers.local)
            status = _status(cgroup, tiers)
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.ENOENT):
            raise InputError(f"container {names.short(container.id)} has ended") from None
        raise HostError(f"cgroup {container.cgroup} does not take the bound: {error.strerror}") from None
    return Change(replace(status or container, name=container.name), useless, lasts)


def _first(id: str) -> dict[int, int | None]:
    """Return the limits of container *id* from before its first ``bede set``. Raises BedeError."""
    found = chosen.read(id)
    if found is None or not found.limits:
        raise InputError(
            f"container {id} has had no other bound, or its first one is not known any more",
            "Give it a bound as a size",
        )
    return nodelimit.parse(found.limits)


def _choose(id: str, bound: int, given: dict[int, int | None]) -> None:
    """Keep *bound* for later starts of container *id*; *given* were its limits. Raises AccessError."""
    before = chosen.read_or_none(id)
    limits = before.limits if before and before.limits else nodelimit.dump(given)
    chosen.write(id, chosen.Chosen(bound, limits=limits))


def _tiers() -> nodes.Tiers | None:
    try:
        return nodes.find(config.load().far_nodes)
    except HostError:
        return None


def _status(cgroup: Cgroup, tiers: nodes.Tiers) -> Status | None:
    """Return the status of *cgroup*; None if it lacks a limit on some local node. Raises OSError."""
    limits = memory.node_limits(cgroup.fd)
    bound = nodelimit.bound_of(limits, tiers.local)
    if bound is None:
        return None
    used = memory.node_usage(cgroup.fd)
    events = {name: pages * host.PAGE for name, pages in memory.node_events(cgroup.fd).items()}
    local = sum(used.get(node, 0) for node in tiers.local)
    return Status(
        id=names.id_of(cgroup.path),
        cgroup=cgroup.path,
        inode=cgroup.inode,
        bound=bound,
        nodes={str(node): value for node in tiers.local if (value := limits[node]) is not None},
        local=local,
        far=sum(used.get(node, 0) for node in tiers.far),
        overshoot=max(local - bound, 0),
        backend=node_limit.NAME,
        demoted=events.get("demoted"),
        steered_bytes=events.get("steered"),
        promotion_denied=events.get("promotion_denied"),
        over=events.get("over"),
    )
