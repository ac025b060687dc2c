# SPDX-License-Identifier: Apache-2.0
"""Put a bound in force for a process and its cgroup, all or nothing: what the hook and `bede run` do."""

from ocihook import config as configuration
from ocihook.backends import choose
from ocihook.backends.backend import UNTOLD, Asked
from ocihook.cgroup import own, path, process
from ocihook.cgroup.path import Cgroup
from ocihook.errors import HostError, InputError
from ocihook.spec import annotation
from ocihook.spec import state as oci
from ocihook.state import chosen, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocihook.state.records import Record


def bind(
    state: oci.State,
    policy: annotation.Policy,
    config: configuration.Config,
    *,
    user_high: int | None = UNTOLD,
    runtime: str = "",
    warn: "Callable[[str], None]" = report.warning,
    maker: int = 0,
) -> "Record | None":
    """Put the bound of *policy* in force for the process of *state*, or leave nothing behind.

    *user_high* is the user's own ``memory.high`` (bytes, None for "max") where the cgroup holds another one;
    *runtime* is who started the process, and *maker* that one's pid where it may have helpers in the cgroup;
    *warn* gets a line about what works less well. The record to tell the agent of; None where there is
    nothing (more) to record. Raises BedeError.
    """
    policy = chosen.apply(policy, state.id, lambda error: warn(error.line("bede")))
    try:
        start, namespaces = process.identity(state.pid)
        with path.find(state.pid) as cgroup:
            _alone(cgroup, state, maker)
            asked = Asked(state, start, namespaces, policy, config, user_high, runtime, warn)
            return choose.for_cgroup(cgroup.fd, config).bind(cgroup, asked)
    except BaseException:
        choose.stock(config).abandon(state)
        raise


def holds(pid: int, policy: annotation.Policy, config: configuration.Config) -> bool:
    """Whether the bound of *policy* is in force, without a record, in the cgroup of process *pid*."""
    try:
        with path.find(pid) as cgroup:
            return choose.for_cgroup(cgroup.fd, config).holds(cgroup, policy, config)
    except (OSError, HostError, InputError):
        return False


def _alone(cgroup: Cgroup, state: oci.State, maker: int) -> None:
    """Before anything is written: what stands in a cgroup of others is theirs. Raises HostError."""
    try:
        own.check(cgroup, state.pid, maker)
    except OSError as error:
        raise HostError(f"the processes in {cgroup.directory} cannot be told: {error.strerror}") from None
