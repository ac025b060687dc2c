# SPDX-License-Identifier: Apache-2.0
"""``migrate``: a stock kernel whose far nodes are no lower tier. Allocation is steered, pages are moved.

The functions are those of :class:`ocihook.backends.backend.Backend`.
"""

from ocihook import fs
from ocihook.backends import tier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocihook.backends.backend import AgentServices, BindRequest, BundleEdit, Explanation
    from ocihook.cgroup.path import Cgroup
    from ocihook.config import Config
    from ocihook.control.status import Status
    from ocihook.errors import BedeError
    from ocihook.finding import Finding
    from ocihook.native import Holder, Stats
    from ocihook.spec.state import State
    from ocihook.state.records import Record
    from ocihook.topology.nodes import Tiers

NAME = "migrate"
WHY = (
    "far nodes are named that are no lower tier, and the kernel has no limit by node, so allocation is"
    " steered and pages are moved"
)
KERNEL = "stock: it has no limit by node"
NEEDS_AGENT, MOVES_PAGES, FOR_USERS = True, True, False

#: the same as in ``tier``, the other backend whose containers an agent holds
possible, holds, release = tier.possible, tier.holds, tier.release
listing, status, bound, set_bound = tier.listing, tier.status, tier.bound, tier.set_bound


def examine(tiers: "Tiers | None") -> "Iterator[Finding]":
    """Yield findings about steering, DAMON, counting, the cpuset controller and NUMA balancing."""
    from ocihook.backends.migrate import told

    return told.examine(tiers)


def prepare(edit: "BundleEdit") -> bool:
    """Give this process the policy, which the container's tasks inherit; then do as ``tier``.

    Return whether the bundle was changed.
    """
    from ocihook.backends.migrate import steering
    from ocihook.spec import bundle

    # The hook will check whether the container's tasks have this policy.
    steering.take(steering.host_mask(edit.config, bundle.cpuset(edit.bundle)) or 0)
    return tier.prepare(edit)


def prepare_exec(container: str) -> None:
    """Give this process the policy if the container is steered."""
    from ocihook.backends.migrate import steering

    steering.take(steering.recorded_mask(container))


def check(config: "Config", cgroup_fd: int) -> "Tiers":
    """Check the container in that cgroup like :func:`possible`. Return the nodes. Raises HostError."""
    from ocihook.backends import checks
    from ocihook.errors import HostError
    from ocihook.state import user

    if user.choose():
        raise HostError(
            "a user's own containers cannot be held without a lower memory tier",
            "Run the container as root, whose agent may move its pages",
        )
    tiers = possible(config)
    checks.require_far_room(tiers)
    checks.require_far_node_in_cpuset(fs.read_or("cpuset.mems.effective", "", dir_fd=cgroup_fd), tiers)
    return tiers


def bind(cgroup: "Cgroup", request: "BindRequest") -> "Record | None":
    """Steer the container if possible, then do as ``tier``. Return the record. Raises BedeError."""
    from ocihook.backends import migrate, start
    from ocihook.backends.migrate import steering

    def steer(record: "Record", tiers: "Tiers") -> None:
        steering.steer_or_warn(cgroup, request, tiers, record.cpuset)

    return start.bind(cgroup, request, migrate, steer)


def abandon(state: "State") -> None:
    """Take the policy back: a container that goes on without a bound must not allocate far memory by it."""
    from ocihook.backends.migrate import steering

    steering.unsteer(state)


def forget(record: "Record") -> None:
    """Remove the cgroup beside the container's that keeps the cpuset controller enabled. Raises BedeError."""
    from ocihook.cgroup import cpuset, path

    cpuset.unpin(record.cgroup, record.cgroup_ino, path.mount_point())


def hold(cgroup: "Cgroup", record: "Record", tiers: "Tiers", agent: "AgentServices") -> "Holder":
    """Start to steer and to move pages, and enable the cpuset controller again. Return the holder.

    Raises OSError.
    """
    from ocihook import host, native
    from ocihook.backends import holding
    from ocihook.backends.migrate import steering
    from ocihook.cgroup import cpuset

    given = record.cpuset
    if given:
        cpuset.enable(cgroup, own=True)
    # Pages cannot be moved to nodes that are not in the container's cpuset.
    tiers = steering.allowed(cgroup.fd, given, tiers)
    steered = steering.is_valid(given)
    if given and not steered:
        # otherwise cpuset.mems would keep the container on the local nodes
        steering.release(cgroup.fd, given)
    home, away = given.get(steering.HOME, ""), given.get(steering.AWAY, "")
    moving = native.Steering(home, away, steered)
    return holding.holder(cgroup, record, tiers, agent, host.path(host.LRU_GEN), NAME, moving)


def look_after(cgroup_fd: int, record: "Record") -> None:
    """Restrict the container's CPUs again if somebody, such as systemd, has cleared ``cpuset.cpus``."""
    from ocihook.backends import cpus
    from ocihook.backends.migrate import steering

    try:
        cpus.keep(cgroup_fd, record.cpuset.get(steering.NEAR, ""))
    except OSError:
        return  # the container has ended


def troubles(record: "Record", tiers: "Tiers", stats: "Stats") -> "Iterator[tuple[str, BedeError]]":
    """Yield the reports that nothing can be moved, or that the container is no longer steered."""
    from ocihook.backends.migrate import told

    return told.troubles(record, tiers, stats)


def explain(container: "Status", cgroup_fd: int, config: "Config") -> "Explanation":
    """Return how steering and moving hold the container. Raises OSError."""
    from ocihook.backends.migrate import told

    return told.explain(container, cgroup_fd, config)


def label(container: "Status") -> str:
    """Return the backend's name, with a remark if the container is not steered but only moved."""
    return NAME if container.steered else f"{NAME}, not steered"


def alternative(container: "Status", config: "Config") -> str:
    """Return, in words, how steering and moving would hold the bound."""
    from ocihook.backends.migrate import told

    return told.alternative()
