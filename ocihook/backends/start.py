# SPDX-License-Identifier: Apache-2.0
"""The start of a container that an agent is going to hold: its fence, its record, its mark in the kernel."""

import time

from ocihook.backends import checks, fence, undo
from ocihook.backends.backend import UNTOLD, BindRequest
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
    request: BindRequest,
    backend: "Backend",
    before_fence: "Callable[[records.Record, Tiers], None] | None" = None,
) -> records.Record | None:
    """Put the bound in force, or leave nothing behind. Raises BedeError.

    *before_fence* does what is special to *backend*, and stores in the record what it will need later. Return
    the record; None if a hook has bound this process before.
    """
    state = request.state
    before = records.read_or_none(records.key_of(state.id, state.bundle))
    if before is not None and before.pid == state.pid and before.pid_start == request.start:
        return None
    dirty = request.user_high != UNTOLD
    user_high = request.user_high if dirty else memory.high(cgroup.fd)
    record = None
    try:
        tiers = backend.check(request.config, cgroup.fd)
        limit = memory.container_limit(cgroup)
        bound, nodes = request.policy.resolve(limit)
        checks.require_local_nodes(nodes, tiers)
        useless = checks.useless(bound, nodes, limit, tiers.local)
        record = records.Record(
            id=state.id,
            bundle=state.bundle,
            pid=state.pid,
            pid_start=request.start,
            ns=request.namespaces,
            cgroup=cgroup.path,
            cgroup_ino=cgroup.inode,
            policy=request.policy.given,
            bound=bound,
            nodes=nodes,
            user_high=user_high,
            user_swap_max=memory.limit_or_none(cgroup.fd, "memory.swap.max"),
            created=time.time(),
            backend=backend.NAME,
            runtime=request.runtime,
        )
        require_alive(request)
        # Write the fence before the record and the mark: if an agent finds one of these, it takes a
        # memory.high that changes later for the user's. If this hook dies between the writes, the fence
        # stays without a record, but then the container does not start.
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
    warn_useless(request, useless)
    return record


def require_alive(request: BindRequest) -> None:
    """Check that the pid was not reused while we read about its process. Raises InputError."""
    if not process.is_same(request.state.pid, request.start):
        raise InputError(f"process {request.state.pid} is gone, the container has ended")


def refused(cgroup: "Cgroup", error: OSError) -> HostError:
    """Return the HostError to raise for *error*, by which the kernel refused a write."""
    return HostError(f"cgroup {cgroup.directory} does not take a bound: {error.strerror}")


def warn_useless(request: BindRequest, why: str) -> None:
    """Warn the user that the bound has no effect, and *why*; "" means that it has one."""
    if why:
        request.warn(
            InputError(f"container {request.state.id}: {why}", "Ask for less than that").line("bede")
        )


def _undo(state: "State", cgroup: "Cgroup", user_high: int | None, record: records.Record | None) -> None:
    # Also remove the fence that the runtime wrote for us: a fence that nobody moves strangles the container.
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
