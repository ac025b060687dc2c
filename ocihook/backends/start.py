# SPDX-License-Identifier: Apache-2.0
"""The start of a container that an agent is going to hold: its fence, its record, its mark in the kernel."""

import time

from ocihook.backends import checks, undo
from ocihook.backends.backend import UNTOLD, Asked
from ocihook.backends.tier import fence
from ocihook.cgroup import memory, process
from ocihook.errors import BedeError, HostError, InputError
from ocihook.state import mark, records, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocihook.backends.backend import Backend
    from ocihook.cgroup.path import Cgroup
    from ocihook.spec.state import State
    from ocihook.topology.nodes import Tiers


def bind(
    cgroup: "Cgroup",
    asked: Asked,
    backend: "Backend",
    before_fence: "Callable[[records.Record, Tiers], None] | None" = None,
) -> records.Record | None:
    """Put the bound in force, or leave nothing behind; None where that was done before.

    *before_fence* does what else *backend* does at the start, and writes into the record what it has to
    know. Raises BedeError.
    """
    state = asked.state
    before = records.read_or_none(records.key_of(state.id, state.bundle))
    if before is not None and before.pid == state.pid and before.pid_start == asked.start:
        return None
    dirty = asked.user_high != UNTOLD
    user_high = asked.user_high if dirty else memory.high(cgroup.fd)
    record = None
    try:
        tiers = backend.check(asked.config, cgroup.fd)
        limit = memory.container_limit(cgroup)
        bound, nodes = asked.policy.resolve(limit)
        checks.local(nodes, tiers)
        useless = checks.useless(bound, nodes, limit, tiers.local)
        record = records.Record(
            id=state.id,
            bundle=state.bundle,
            pid=state.pid,
            pid_start=asked.start,
            ns=asked.namespaces,
            cgroup=cgroup.path,
            cgroup_ino=cgroup.inode,
            policy=asked.policy.given,
            bound=bound,
            nodes=nodes,
            user_high=user_high,
            user_swap_max=memory.limit_or_none(cgroup.fd, "memory.swap.max"),
            created=time.time(),
            backend=backend.NAME,
            runtime=asked.runtime,
        )
        still(asked)
        # The record last, and its copy in the kernel: an agent that finds either takes any other
        # memory.high that comes later for the user's. Without them the fence is nobody's, but then this
        # has failed and nothing starts.
        dirty = True
        if before_fence is not None:
            before_fence(record, tiers)
        fence.engage(cgroup, bound, tiers, user_high)
        mark.put(cgroup.fd, record)
        records.write(record)
    except BaseException as error:
        if dirty:
            _undo(state, cgroup, user_high, record)
        if isinstance(error, OSError):
            raise refused(cgroup, error) from None
        raise
    warn_useless(asked, useless)
    return record


def still(asked: Asked) -> None:
    """Whatever was read of that number was read of one process. Raises InputError."""
    if not process.is_same(asked.state.pid, asked.start):
        raise InputError(f"process {asked.state.pid} is gone, the container has ended")


def refused(cgroup: "Cgroup", error: OSError) -> HostError:
    """The kernel's refusal, as an error of ours."""
    return HostError(f"cgroup {cgroup.directory} does not take a bound: {error.strerror}")


def warn_useless(asked: Asked, why: str) -> None:
    """Tell whoever asked for it that the bound holds nothing back."""
    if why:
        asked.warn(InputError(f"container {asked.state.id}: {why}", "Ask for less than that").line("bede"))


def _undo(state: "State", cgroup: "Cgroup", user_high: int | None, record: records.Record | None) -> None:
    # Also what the runtime wrote for us: memory.high at the bound, without anybody to move it, strangles.
    try:
        if record is not None:
            undo.give_back(cgroup.fd, record)
        else:
            fence.release(cgroup.fd, user_high)
    except (BedeError, OSError) as error:
        report.line(f"bede: memory.high of {cgroup.directory} could not be put back: {error}.")
    try:
        if record is not None:
            undo.forget(record)
        else:
            records.remove(records.key_of(state.id, state.bundle))
    except BedeError as error:
        report.line(error.line("bede"))
