# SPDX-License-Identifier: Apache-2.0
"""``tier``: a stock kernel with a lower memory tier. The fence makes the kernel demote.

The functions are those of :class:`ocihook.backends.backend.Backend`.
"""

import os

from ocihook import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocihook.backends.backend import AgentServices, BindRequest, BundleEdit, Explanation
    from ocihook.cgroup.path import Cgroup
    from ocihook.config import Config
    from ocihook.control.status import Change, Status
    from ocihook.errors import BedeError
    from ocihook.finding import Finding
    from ocihook.native import Holder, Stats
    from ocihook.spec.annotation import Policy
    from ocihook.spec.state import State
    from ocihook.state.records import Record
    from ocihook.topology.nodes import Tiers

NAME = "tier"
WHY = "the kernel has a lower memory tier to demote to, and no limit by node"
KERNEL = "stock: it has no limit by node"
NEEDS_AGENT, MOVES_PAGES, FOR_USERS = True, False, True


def possible(config: "Config") -> "Tiers":
    """Return the tiers of this host. Raises HostError."""
    from ocihook.backends import checks
    from ocihook.topology import nodes

    return checks.require_low_node_numbers(nodes.find(config.far_nodes))


def examine(tiers: "Tiers | None") -> "Iterator[Finding]":
    """Yield findings about demotion, the generations of the LRU, and NUMA balancing."""
    from ocihook.backends.tier import told

    return told.examine()


def prepare(edit: "BundleEdit") -> bool:
    """Add the hooks, and let the runtime write the first fence. Return whether the bundle was changed."""
    from ocihook.spec import bundle

    if edit.config.promotion != "balancing":
        from ocihook.backends import balancing

        # The hook will check whether the container's tasks have this policy.
        balancing.take(edit.config)
    return bundle.edit(edit.bundle, edit.hook, edit.fence)


def prepare_exec(container: str) -> None:
    """Keep this process out of NUMA balancing if its container is; the fence applies to it in any case."""
    from ocihook.backends import balancing

    balancing.take_for(container)


def check(config: "Config", cgroup_fd: int) -> "Tiers":
    """Check this host and the container in that cgroup, and turn demotion on. Return the nodes.

    Raises HostError if no bound can be held.
    """
    from ocihook.backends import checks
    from ocihook.topology import nodes

    tiers = possible(config)
    nodes.enable_demotion()
    checks.require_far_room(tiers)
    # Without the cpuset controller every node is allowed.
    checks.require_far_node_in_cpuset(fs.read_or("cpuset.mems.effective", "", dir_fd=cgroup_fd), tiers)
    return tiers


def bind(cgroup: "Cgroup", request: "BindRequest") -> "Record | None":
    """Write the fence and the record. Return the record. Raises BedeError."""
    from ocihook.backends import start, tier

    if request.config.promotion == "balancing":
        return start.bind(cgroup, request, tier)
    from ocihook.backends import balancing

    return start.bind(
        cgroup,
        request,
        tier,
        lambda record, tiers: balancing.keep_out(request, tiers, record.cpuset),
    )


def abandon(state: "State") -> None:
    """Let the container take part in NUMA balancing again; :func:`bind` leaves nothing else behind."""
    from ocihook.backends import balancing

    balancing.let_in(state)


def holds(cgroup: "Cgroup", policy: "Policy", config: "Config") -> bool:
    """Return False: this backend makes a record of each bound."""
    return False


def release(cgroup_fd: int, record: "Record") -> None:
    """Put back the user's ``memory.high`` and swap limit. Raises OSError."""
    from ocihook.backends import undo

    undo.give_back_limits(cgroup_fd, record.user_high, record.user_swap_max, record.cpuset)


def forget(record: "Record") -> None:
    """Do nothing: this backend leaves nothing outside the cgroup."""


def hold(cgroup: "Cgroup", record: "Record", tiers: "Tiers", agent: "AgentServices") -> "Holder":
    """Start to move the fence and, if possible, to demote ahead of it; turn demotion on again.

    Return the holder. Raises HostError, OSError.
    """
    from ocihook import host
    from ocihook.backends import holding
    from ocihook.topology import nodes

    nodes.enable_demotion()
    try:
        return holding.holder(cgroup, record, tiers, agent, host.path(host.LRU_GEN), NAME)
    except OSError as error:
        if holding.is_gone(record):
            raise
        # Kernel lockdown or a missing debugfs prevents it. A rootless user may not move pages, either.
        instead = "the agent moves pages itself" if os.geteuid() == 0 else "the fence alone holds the bound"
        agent.warn(f"lru_gen cannot be used ({error.strerror}): {instead}", "no_demotion")
        return holding.holder(cgroup, record, tiers, agent, None, NAME)


def look_after(cgroup_fd: int, record: "Record") -> None:
    """Do nothing: the holder itself checks the fence."""


def troubles(record: "Record", tiers: "Tiers", stats: "Stats") -> "Iterator[tuple[str, BedeError]]":
    """Yield the report that nothing can be demoted."""
    from ocihook.backends.tier import told

    return told.troubles(tiers, stats)


def listing() -> "list[Status]":
    """Return no container: the agent lists those of this backend."""
    return []


def status(record: "Record", stats: "Stats") -> "Status":
    """Return the status, made from the record and the holder's counts."""
    from ocihook.backends import holding

    return holding.status(record, stats)


def bound(container: "Status", cgroup_fd: int, tiers: "Tiers") -> int:
    """Return the bound in the agent's last answer, in bytes."""
    return container.bound


def set_bound(container: "Status", size: str) -> "Change":
    """Ask the agent to change the bound. Return the change. Raises BedeError."""
    from ocihook.control import client

    return client.set_bound(container.key, size)


def explain(container: "Status", cgroup_fd: int, config: "Config") -> "Explanation":
    """Return how the fence and the agent hold the container. Raises OSError."""
    from ocihook.backends.tier import told

    return told.explain(container, cgroup_fd, config)


def label(container: "Status") -> str:
    """Return the backend's name in the record.

    A backend of another version of Bede keeps its name, although ``tier`` holds the container.
    """
    return container.backend


def alternative(container: "Status", config: "Config") -> str:
    """Return, in words, how the fence would hold the bound, if this host has a lower tier."""
    from ocihook.backends.tier import told

    return told.alternative()
