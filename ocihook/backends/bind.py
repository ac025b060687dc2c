# SPDX-License-Identifier: Apache-2.0
"""Put a bound in force for a process and its cgroup, all or nothing: what the hook and `bede run` do."""

import time

from ocihook import config as configuration
from ocihook.backends import checks, choose, tier, undo
from ocihook.cgroup import memory, own, path, process
from ocihook.cgroup.path import Cgroup
from ocihook.errors import BedeError, HostError, InputError
from ocihook.spec import annotation
from ocihook.spec import state as oci
from ocihook.state import chosen, mark, records, say
from ocihook.topology.nodes import Tiers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

UNTOLD = -1  #: of a user's ``memory.high``: nobody has told of it, it stands in the cgroup


def bind(
    state: oci.State,
    policy: annotation.Policy,
    config: configuration.Config,
    *,
    user_high: int | None = UNTOLD,
    runtime: str = "",
    warn: "Callable[[str], None]" = say.warning,
    maker: int = 0,
) -> records.Record | None:
    """Put the bound of *policy* in force for the process of *state*, or leave nothing behind.

    *user_high* is the user's own ``memory.high`` (bytes, None for "max") where the cgroup holds another one;
    *runtime* is who started the process, and *maker* that one's pid where it may have helpers in the cgroup;
    *warn* gets a line about what works less well. The record to tell the agent of; None where there is
    nothing (more) to record. Raises BedeError.
    """
    policy = chosen.apply(policy, state.id, lambda error: warn(error.line("bede")))
    try:
        return _bind(state, policy, config, user_high, runtime, maker, warn)
    except BaseException:
        if choose.stock(config) == choose.MIGRATE:
            _unsteer(state)
        raise


def _bind(
    state: oci.State,
    policy: annotation.Policy,
    config: configuration.Config,
    user_high: int | None,
    runtime: str,
    maker: int,
    warn: "Callable[[str], None]",
) -> records.Record | None:
    start, namespaces = process.identity(state.pid)
    with path.find(state.pid) as cgroup:
        _alone(cgroup, state, maker)
        backend = choose.for_cgroup(cgroup.fd, config)
        if backend == choose.NODE_LIMIT:
            _still(state, start)
            useless = _limit(cgroup, policy, config, user_high)
            _warn_useless(state, useless, warn)
            return None
        before = records.read_or_none(records.key_of(state.id, state.bundle))
        if before is not None and before.pid == state.pid and before.pid_start == start:
            return None
        dirty = user_high != UNTOLD
        if not dirty:
            user_high = memory.high(cgroup.fd)
        record = None
        try:
            tiers = _check(backend, config, cgroup.fd)
            limit = memory.container_limit(cgroup)
            bound, nodes = policy.resolve(limit)
            checks.local(nodes, tiers)
            useless = checks.useless(bound, nodes, limit, tiers.local)
            record = records.Record(
                id=state.id,
                bundle=state.bundle,
                pid=state.pid,
                pid_start=start,
                ns=namespaces,
                cgroup=cgroup.path,
                cgroup_ino=cgroup.inode,
                policy=policy.given,
                bound=bound,
                nodes=nodes,
                user_high=user_high,
                user_swap_max=memory.limit_or_none(cgroup.fd, "memory.swap.max"),
                created=time.time(),
                backend=backend,
                runtime=runtime,
            )
            _still(state, start)
            # The record last, and its copy in the kernel: an agent that finds either takes any other
            # memory.high that comes later for the user's. Without them the fence is nobody's, but then this
            # has failed and nothing starts.
            dirty = True
            if backend == choose.MIGRATE:
                _steer(record, cgroup, state, tiers, warn)
            tier.engage(cgroup, bound, tiers, user_high)
            mark.put(cgroup.fd, record)
            records.write(record)
        except BaseException as error:
            if dirty:
                _undo(state, cgroup, user_high, record)
            if isinstance(error, OSError):
                raise _refused(cgroup, error) from None
            raise
        _warn_useless(state, useless, warn)
        return record


def _alone(cgroup: Cgroup, state: oci.State, maker: int) -> None:
    """Before anything is written: what stands in a cgroup of others is theirs. Raises HostError."""
    try:
        own.check(cgroup, state.pid, maker)
    except OSError as error:
        raise HostError(f"the processes in {cgroup.directory} cannot be told: {error.strerror}") from None


def _check(backend: str, config: configuration.Config, cgroup_fd: int) -> Tiers:
    if backend == choose.MIGRATE:
        from ocihook.backends import migrate

        return migrate.check(config, cgroup_fd)
    return tier.check(config, cgroup_fd)


def _warn_useless(state: oci.State, why: str, warn: "Callable[[str], None]") -> None:
    if why:
        warn(InputError(f"container {state.id}: {why}", "Ask for less than that").line("bede"))


def _steer(
    record: records.Record,
    cgroup: Cgroup,
    state: oci.State,
    tiers: Tiers,
    warn: "Callable[[str], None]",
) -> None:
    """Steer what can be; anything else is held by moving, at a higher price, and its user is told."""
    from ocihook.backends import migrate

    try:
        migrate.steer(cgroup, state, tiers, record.cpuset)
    except HostError as error:
        migrate.unsteer(state)
        warning = HostError(f"container {state.id} is not steered: {error.message}", error.hint)
        warn(warning.line("bede"))


def _unsteer(state: oci.State) -> None:
    """It may go on without a bound, and shall not allocate far then."""
    from ocihook.backends import migrate

    migrate.unsteer(state)


def _limit(
    cgroup: Cgroup, policy: annotation.Policy, config: configuration.Config, user_high: int | None
) -> str:
    """Give the bound to a kernel that holds it by itself; why it holds nothing back, if so."""
    from ocihook.backends import node_limit  # every start of a container would pay for it

    try:
        # First what undoes: with the one write after it, all is done or nothing.
        if user_high != UNTOLD:
            tier.release(cgroup.fd, user_high)
        return node_limit.bind(cgroup, policy, config)
    except OSError as error:
        raise _refused(cgroup, error) from None


def _still(state: oci.State, start: int) -> None:
    """Whatever was read of that number was read of one process. Raises InputError."""
    if not process.is_same(state.pid, start):
        raise InputError(f"process {state.pid} is gone, the container has ended")


def _refused(cgroup: Cgroup, error: OSError) -> HostError:
    return HostError(f"cgroup {cgroup.directory} does not take a bound: {error.strerror}")


def _undo(state: oci.State, cgroup: Cgroup, user_high: int | None, record: records.Record | None) -> None:
    # Also what the runtime wrote for us: memory.high at the bound, without anybody to move it, strangles.
    try:
        if record is not None:
            undo.give_back(cgroup.fd, record)
        else:
            tier.release(cgroup.fd, user_high)
    except (BedeError, OSError) as error:
        say.line(f"bede: memory.high of {cgroup.directory} could not be put back: {error}.")
    try:
        if record is not None:
            undo.forget(record)
        else:
            records.remove(records.key_of(state.id, state.bundle))
    except BedeError as error:
        say.line(error.line("bede"))
