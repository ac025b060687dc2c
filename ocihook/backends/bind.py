# SPDX-License-Identifier: Apache-2.0
"""Put a bound in force for a process and its cgroup, all or nothing; the hook and `bede run` call this."""

from ocihook import config as configuration
from ocihook.backends import choose
from ocihook.backends.backend import UNTOLD, BindRequest
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

    *user_high* is the user's own ``memory.high`` (bytes, None for "max") if the cgroup has another one now;
    *runtime* is the program that started the process; *maker* is that program's pid if it may have helpers in
    the cgroup; *warn* is called with a line about what works less well.

    Return the new record, of which the caller has to tell the agent; None if no record is needed, or there
    was one. Raises BedeError.
    """
    policy = chosen.apply(policy, state.id, lambda error: warn(error.line("bede")))
    try:
        start, namespaces = process.identity(state.pid)
        with path.find(state.pid) as cgroup:
            _alone(cgroup, state, maker)
            request = BindRequest(state, start, namespaces, policy, config, user_high, runtime, warn)
            return choose.for_cgroup(cgroup.fd, config).bind(cgroup, request)
    except BaseException:
        # Ask the stock backend, whichever was to bind: the wrapper may have given the process that backend's
        # policy, before there was a cgroup to choose by.
        choose.stock(config).abandon(state)
        raise


def holds(pid: int, policy: annotation.Policy, config: configuration.Config) -> bool:
    """Return whether the cgroup of process *pid* holds the bound of *policy* without a record."""
    try:
        with path.find(pid) as cgroup:
            return choose.for_cgroup(cgroup.fd, config).holds(cgroup, policy, config)
    except (OSError, HostError, InputError):
        return False


def _alone(cgroup: Cgroup, state: oci.State, maker: int) -> None:
    """Check that the container has its cgroup to itself, before its files are written. Raises HostError."""
    try:
        own.check(cgroup, state.pid, maker)
    except OSError as error:
        raise HostError(f"the processes in {cgroup.directory} cannot be read: {error.strerror}") from None
