# SPDX-License-Identifier: Apache-2.0
"""What the backends have in common whose containers an agent holds."""

from __future__ import annotations

from ocihook import host, native
from ocihook.backends import balancing
from ocihook.backends.backend import AgentServices
from ocihook.cgroup import path
from ocihook.cgroup.path import Cgroup
from ocihook.control.status import Status
from ocihook.errors import BedeError
from ocihook.state.records import Record
from ocihook.topology.nodes import Tiers


def holder(
    cgroup: Cgroup,
    record: Record,
    tiers: Tiers,
    agent: AgentServices,
    lru_file: str | None,
    backend: str,
    steering: native.Steering | None = None,
) -> native.Holder:
    """Start a thread that holds the bound of *record*. Return its handle. Raises OSError."""
    return native.Holder(
        cgroup.fd,
        record.cgroup,
        local=tiers.local,
        far=tiers.far,
        bound=record.bound,
        nodes=record.nodes,
        user_high=record.user_high,
        user_swap_max=record.user_swap_max,
        lru_file=lru_file,
        notify_fd=agent.notify_fd,
        backend=backend,
        steering=steering,
        move_rate=agent.config.move_rate << 20,
        promotes=balancing.by_agent(agent.config),
        unbalanced=not host.balancing() or balancing.KEPT_OUT in record.cpuset,
    )


def is_gone(record: Record) -> bool:
    """Return whether the cgroup of *record* is gone; False if that cannot be determined."""
    try:
        cgroup = path.reopen(record.cgroup, record.cgroup_ino)
    except BedeError:
        return False
    if cgroup is None:
        return True
    cgroup.close()
    return False


def status(record: Record, stats: native.Stats) -> Status:
    """Return what `bede ps` shows of the container of *record*; sizes are in bytes."""
    return Status(
        id=record.id,
        key=record.key,
        pid=record.pid,
        cgroup=record.cgroup,
        bound=stats.bound,
        nodes={str(node): value for node, value in record.nodes.items()},
        local=stats.local,
        far=stats.far,
        overshoot=stats.overshoot,
        backend=record.backend,
        runtime=record.runtime,
        asked=record.policy,
        created=record.created,
        user_high=limit(stats.user_high),
        demoted=stats.demoted,
        promoted=stats.promoted,
        program_bound=stats.program_bound,
        mover_us=stats.mover_us,
        exchanged=stats.exchanged,
        vain=stats.vain,
        hits_local=stats.hits_local / 1000 if stats.hits_best else None,
        hits_best=stats.hits_best / 1000 if stats.hits_best else None,
        steered=stats.steered,
        away=stats.away,
        stalled=stats.stalled,
        stalls=stats.stalls,
        fence=stats.fence,
        fence_events=stats.fence_events,
        rounds=stats.rounds,
    )


def limit(value: int) -> int | None:
    """Return *value*, a limit of the native part, in Python's form: None for no limit."""
    return None if value == native.NO_LIMIT else value
