# SPDX-License-Identifier: Apache-2.0
"""``node_limit``: a kernel with Bede's patches, which holds bounds by itself.

The functions are those of :class:`ocihook.backends.backend.Backend`. The limits in a container's cgroup are
the only trace of its bound: there is no record, so an agent is never asked to hold it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocihook.backends.backend import Agent, Asked, Explanation, Start
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

NAME = "node_limit"
WHY = "the kernel has memory.node_limit and holds bounds by itself"
NEEDS_AGENT, MOVES_PAGES, FOR_USERS = False, False, True


def possible(config: "Config") -> "Tiers":
    """The nodes to bind with on this host. Raises HostError."""
    from ocihook.backends.node_limit import limits

    return limits.check(config, "")


def examine(config: "Config", tiers: "Tiers | None") -> "Iterator[Finding]":
    """NUMA balancing."""
    from ocihook.backends.node_limit import told

    return told.examine()


def prepare(start: "Start") -> bool:
    """Let the runtime write the limits; or the hook, which can check the cgroup, if others may be in it."""
    from ocihook.spec import bundle

    if not start.own:
        return bundle.edit(start.bundle, start.hook, False)
    from ocihook.backends.node_limit import limits

    return bundle.edit_limits(start.bundle, *limits.of_start(start))


def prepare_exec(container: str) -> None:
    """Nothing: the limits are on every process in the cgroup."""


def check(config: "Config", cgroup_fd: int) -> "Tiers":
    """Like :func:`possible`, for the container in that cgroup. Raises HostError."""
    from ocihook import fs
    from ocihook.backends.node_limit import limits

    return limits.check(config, fs.read_or("cpuset.mems.effective", "", dir_fd=cgroup_fd))


def bind(cgroup: "Cgroup", asked: "Asked") -> None:
    """Write the limits. Raises BedeError."""
    from ocihook.backends import fence, start
    from ocihook.backends.backend import UNTOLD
    from ocihook.backends.node_limit import limits

    start.require_alive(asked)
    try:
        # First undo the wrapper's fence: then a single write remains, which succeeds or changes nothing.
        if asked.user_high != UNTOLD:
            fence.release(cgroup.fd, asked.user_high)
        useless = limits.bind(cgroup, asked.policy, asked.config)
    except OSError as error:
        raise start.refused(cgroup, error) from None
    start.warn_useless(asked, useless)


def abandon(state: "State") -> None:
    """Nothing: :func:`bind` leaves nothing behind."""


def holds(cgroup: "Cgroup", policy: "Policy", config: "Config") -> bool:
    """Compare the limits. Raises OSError, BedeError."""
    from ocihook.backends.node_limit import limits

    return limits.holds(cgroup, policy, config)


def release(cgroup_fd: int, record: "Record") -> None:
    """Put back what a record contains, though this backend writes none. Raises OSError."""
    from ocihook.backends import undo

    undo.give_back_limits(cgroup_fd, record.user_high, record.user_swap_max, record.cpuset)


def forget(record: "Record") -> None:
    """Nothing: the limits go with the cgroup."""


def resume(cgroup: "Cgroup", record: "Record") -> None:
    """Nothing, see :func:`hold`."""


def hold(cgroup: "Cgroup", record: "Record", tiers: "Tiers", agent: "Agent") -> "Holder":
    """Raises InputError: a record that names this backend is no record of Bede's."""
    from ocihook.errors import InputError

    raise InputError("its record says that the kernel holds it, which takes no record")


def look_after(cgroup_fd: int, record: "Record") -> None:
    """Nothing: the kernel holds the bound."""


def troubles(record: "Record", tiers: "Tiers", stats: "Stats") -> "Iterator[tuple[str, BedeError]]":
    """None: no agent holds it."""
    return iter(())


def listing() -> "list[Status]":
    """Found by the limits of all cgroups. Raises BedeError."""
    from ocihook.backends.node_limit import cgroups

    return cgroups.listing()


def status(record: "Record", stats: "Stats") -> "Status":
    """Required by the protocol; this backend has no holders."""
    from ocihook.backends import holding

    return holding.status(record, stats)


def bound(container: "Status", cgroup_fd: int, tiers: "Tiers") -> int:
    """Read from the limits, which others than Bede may have changed."""
    from ocihook.backends.node_limit import limits

    return limits.in_force(cgroup_fd, tiers) or container.bound


def set_bound(container: "Status", size: str) -> "Change":
    """Write other limits. Raises BedeError."""
    from ocihook.backends.node_limit import cgroups

    return cgroups.change(container, size)


def explain(container: "Status", cgroup_fd: int, config: "Config") -> "Explanation":
    """By the limits. Raises OSError."""
    from ocihook.backends.node_limit import told

    return told.explain(container, cgroup_fd, config)


def label(container: "Status") -> str:
    """Its name."""
    return NAME


def alternative(container: "Status", config: "Config") -> str:
    """The limits that the same annotation would become."""
    from ocihook.backends.node_limit import told

    return told.alternative(container, config)
