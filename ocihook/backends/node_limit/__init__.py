# SPDX-License-Identifier: Apache-2.0
"""``node_limit``: a kernel with Bede's patches, which holds bounds by itself.

The functions are those of :class:`ocihook.backends.backend.Backend`. The limits in a container's cgroup are
the only trace of its bound: there is no record.
"""

from ocihook.backends import tier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocihook.backends.backend import BindRequest, BundleEdit, Explanation
    from ocihook.cgroup.path import Cgroup
    from ocihook.config import Config
    from ocihook.control.status import Change, Status
    from ocihook.finding import Finding
    from ocihook.spec.annotation import Policy
    from ocihook.spec.state import State
    from ocihook.topology.nodes import Tiers

NAME = "node_limit"
WHY = "the kernel has memory.node_limit and holds bounds by itself"
KERNEL = "with Bede's patches: it has memory.node_limit"
NEEDS_AGENT, MOVES_PAGES, FOR_USERS = False, False, True

#: This backend writes no records. If a record names it all the same, ``tier`` holds the container.
release, forget, status = tier.release, tier.forget, tier.status
hold, look_after, troubles = tier.hold, tier.look_after, tier.troubles


def possible(config: "Config") -> "Tiers":
    """Return the local and far nodes of this host. Raises HostError."""
    from ocihook.backends.node_limit import limits

    return limits.check(config, "")


def examine(tiers: "Tiers | None") -> "Iterator[Finding]":
    """Yield the finding about NUMA balancing."""
    from ocihook.backends.node_limit import told

    return told.examine()


def prepare(edit: "BundleEdit") -> bool:
    """Let the runtime write the limits, or add the hooks if others may share the container's cgroup.

    Only the hook can check who is in the cgroup. Return whether the bundle was changed.
    """
    from ocihook.spec import bundle

    if not edit.own:
        return bundle.edit(edit.bundle, edit.hook, False)
    from ocihook.backends.node_limit import limits

    return bundle.edit_limits(edit.bundle, *limits.of_start(edit))


def prepare_exec(container: str) -> None:
    """Do nothing: the limits are on every process in the cgroup."""


def check(config: "Config", cgroup_fd: int) -> "Tiers":
    """Check the container in that cgroup like :func:`possible`. Return the nodes. Raises HostError."""
    from ocihook import fs
    from ocihook.backends.node_limit import limits

    return limits.check(config, fs.read_or("cpuset.mems.effective", "", dir_fd=cgroup_fd))


def bind(cgroup: "Cgroup", request: "BindRequest") -> None:
    """Write the limits. Return None, since there is no record. Raises BedeError."""
    from ocihook.backends import fence, start
    from ocihook.backends.backend import UNTOLD
    from ocihook.backends.node_limit import limits

    start.require_alive(request)
    try:
        # First undo the wrapper's fence: then a single write remains, which succeeds or changes nothing.
        if request.user_high != UNTOLD:
            fence.release(cgroup.fd, request.user_high)
        useless = limits.bind(cgroup, request.policy, request.config)
    except OSError as error:
        raise start.refused(cgroup, error) from None
    start.warn_useless(request, useless)


def abandon(state: "State") -> None:
    """Do nothing: :func:`bind` leaves nothing behind."""


def holds(cgroup: "Cgroup", policy: "Policy", config: "Config") -> bool:
    """Return whether the cgroup's limits are as low as *policy* asks. Raises OSError, BedeError."""
    from ocihook.backends.node_limit import limits

    return limits.holds(cgroup, policy, config)


def listing() -> "list[Status]":
    """Return the containers, which are found by the limits of all cgroups. Raises BedeError."""
    from ocihook.backends.node_limit import cgroups

    return cgroups.listing()


def bound(container: "Status", cgroup_fd: int, tiers: "Tiers") -> int:
    """Return the bound by the cgroup's limits, which others than Bede may have changed."""
    from ocihook.backends.node_limit import limits

    return limits.in_force(cgroup_fd, tiers) or container.bound


def set_bound(container: "Status", size: str) -> "Change":
    """Write other limits. Return the change. Raises BedeError."""
    from ocihook.backends.node_limit import cgroups

    return cgroups.change(container, size)


def explain(container: "Status", cgroup_fd: int, config: "Config") -> "Explanation":
    """Return how the limits hold the container. Raises OSError."""
    from ocihook.backends.node_limit import told

    return told.explain(container, cgroup_fd, config)


def label(container: "Status") -> str:
    """Return the backend's name."""
    return NAME


def alternative(container: "Status", config: "Config") -> str:
    """Return, in words, the limits that the same annotation would become on a patched kernel."""
    from ocihook.backends.node_limit import told

    return told.alternative(container, config)
