# SPDX-License-Identifier: Apache-2.0
"""Takes bound containers out of NUMA balancing, which promotes pages and knows no bound.

Their tasks get the policy MPOL_LOCAL. It allocates like no policy at all, but NUMA balancing leaves the
memory of such tasks alone (native/policy.h). With it they also lose the balancing between several local
sockets, so this is done only where a single local node has CPUs. A program's own policy counts more.
"""

import os

from ocihook import fs, host
from ocihook.backends import policy
from ocihook.state import user
from ocihook.topology import nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.backends.backend import BindRequest
    from ocihook.config import Config
    from ocihook.spec.state import State
    from ocihook.topology.nodes import Tiers

KEPT_OUT = "balancing"  #: key in the record's ``cpuset``: "0" if the container is kept out of NUMA balancing
_SHOWN = "local"  # how numa_maps shows the policy
#: is there if the kernel can tell an agent which pages of any process are hot (native/damon.c)
_DAMON = "/sys/kernel/mm/damon/admin/kdamonds"


def by_agent(config: "Config") -> bool:
    """Return whether the agent promotes.

    That of a user other than root may not move pages, and no agent can tell which are hot without the kernel.
    """
    if config.promotion != "bede" or user.uid_outside() is not None:
        return False
    return os.path.exists(host.path(_DAMON))


def is_wanted(config: "Config", tiers: "Tiers") -> bool:
    """Return whether *config* asks for it, somebody else can promote, and a single local node has CPUs."""
    if config.promotion != "none" and not by_agent(config):
        return False
    with_cpus = nodes.read_list(f"{host.NODES}/has_cpu")
    return len([node for node in tiers.local if node in with_cpus]) == 1


def take(config: "Config") -> None:
    """Give this process the policy, which the container's tasks inherit, if that is wanted. Best effort."""
    from ocihook.backends import tier
    from ocihook.errors import HostError

    try:
        tiers = tier.possible(config)
    except HostError:
        return  # the hook reports it
    if is_wanted(config, tiers):
        policy.take("LOCAL_POLICY")


def keep_out(request: "BindRequest", tiers: "Tiers", given: dict[str, str]) -> None:
    """Make sure that the container's first process has the policy; warn its user if it cannot get it.

    Store in *given* that the container is kept out.
    """
    if not is_wanted(request.config, tiers):
        return
    state = request.state
    try:
        shown = policy.of(state.pid)
        if shown == {"default"} and state.status in policy.NOT_STARTED:
            policy.inject(state.pid, "LOCAL_POLICY")
            shown = policy.of(state.pid)
    except (OSError, ImportError) as error:
        request.warn(f"bede: container {state.id} stays in NUMA balancing: {error}.")
        return
    if _SHOWN in shown:
        given[KEPT_OUT] = "0"


def let_in(state: "State") -> None:
    """Take the policy from a container that has not begun, and goes on without a bound. Best effort."""
    if state.status not in policy.NOT_STARTED:
        return
    try:
        if policy.of(state.pid) == {_SHOWN}:
            policy.inject(state.pid, "DEFAULT_POLICY")
    except (OSError, ImportError):
        return


def is_out(cgroup_fd: int) -> bool:
    """Return whether NUMA balancing leaves a process of the cgroup alone. False if that is not known."""
    try:
        return any(_SHOWN in policy.of(int(pid)) for pid in fs.read("cgroup.procs", dir_fd=cgroup_fd).split())
    except (OSError, ValueError):
        return False


def take_for(container: str) -> None:
    """Give this process the policy if the container with that id is kept out. Best effort."""
    if any(KEPT_OUT in given for given in policy.recorded(container)):
        policy.take("LOCAL_POLICY")
