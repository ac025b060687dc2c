# SPDX-License-Identifier: Apache-2.0
"""The limits of a patched kernel: ``memory.node_limit`` of the container's cgroup.

The kernel enforces that file by itself: an allocation that no longer fits goes to another node, and the write
of a lower limit returns when the excess has been demoted. There is no fence, agent or record: the file is the
only trace of a bound, and goes with its cgroup. Neither memory tiers nor demotion by reclaim are needed,
so two equal nodes are enough if the configuration says which of them is far.
"""

from ocihook import fs
from ocihook.backends import checks, cpus
from ocihook.cgroup import cpuset, memory
from ocihook.errors import BedeError, HostError, InputError
from ocihook.spec import nodelimit
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.backends.backend import BundleEdit
    from ocihook.cgroup.path import Cgroup
    from ocihook.config import Config
    from ocihook.spec.annotation import Policy


def check(config: "Config", mems: str) -> Tiers:
    """Check that this host can hold a bound. Return its local and far nodes. Raises HostError.

    *mems* is the container's cpuset ("" for all nodes).
    """
    memory_nodes = nodes.with_memory()
    if not config.far_nodes and len(memory_nodes) > 1 and len(nodes.tier_lists()) < 2:
        raise HostError(
            f"nodes {', '.join(map(str, memory_nodes))} are all in one memory tier, so none of them is far",
            f"Name the far ones in the configuration of Bede, as far_nodes: [{memory_nodes[-1]}]",
        )
    tiers = nodes.find(config.far_nodes)
    checks.require_far_room(tiers)
    checks.require_far_node_in_cpuset(mems, tiers)
    return tiers


def limits(bound: int, own: dict[int, int], tiers: Tiers) -> dict[int, int]:
    """Return the limit of each local node, for a *bound* on all of them and *own* ones. Raises InputError."""
    checks.require_local_nodes(own, tiers)
    return nodelimit.split(bound, tiers.local, own)


def bind(cgroup: "Cgroup", policy: "Policy", config: "Config") -> str:
    """Put the bound of *policy* in force, completely or not at all. Raises BedeError, OSError.

    Return why the bound has no effect, or "" if it has one.
    """
    tiers = check(config, fs.read_or("cpuset.mems.effective", "", dir_fd=cgroup.fd))
    limit = memory.container_limit(cgroup)
    bound, own = policy.resolve(limit)
    near = cpus.cpus_off_far_nodes(tiers) if config.far_nodes else ""
    if near:
        # own=False: nothing of Bede runs at the container's end that could call unpin
        cpuset.enable(cgroup, own=False)
        cpus.keep(cgroup.fd, near)
    engage(cgroup.fd, limits(bound, own, tiers))
    return checks.useless(bound, own, limit, tiers.local)


def engage(cgroup_fd: int, wanted: dict[int, int]) -> None:
    """Lower the limits to those *wanted*; a limit that is lower already is the user's and stays.

    Raises OSError.
    """
    given = memory.node_limits(cgroup_fd)
    lower = {node: value for node, value in wanted.items() if _above(given.get(node), value)}
    if lower:
        memory.set_node_limits(cgroup_fd, lower)


def holds(cgroup: "Cgroup", policy: "Policy", config: "Config") -> bool:
    """Return whether the bound of *policy* is in force there. Raises OSError, BedeError."""
    given = memory.node_limits(cgroup.fd)
    bound, own = policy.resolve(memory.container_limit(cgroup))
    held = nodelimit.bound_of(given, nodes.find(config.far_nodes).local)
    if held is None or held > bound:
        return False
    return not any(_above(given.get(node), value) for node, value in own.items())


def in_force(cgroup_fd: int, tiers: Tiers) -> int | None:
    """Return the bound of a cgroup, in bytes; None if it has none, or is gone."""
    try:
        return nodelimit.bound_of(memory.node_limits(cgroup_fd), tiers.local)
    except (OSError, BedeError):
        return None


def of_start(edit: "BundleEdit") -> tuple[dict[int, int], str]:
    """Return (limits by node, CPU list) for a container that is about to be made. Raises BedeError.

    Both are empty if no bound can be held and the configuration lets the container run without one.
    """
    from ocihook.spec import bundle
    from ocihook.state import chosen

    policy = chosen.apply(edit.policy, edit.container, edit.warn)
    limit = bundle.memory_limit(edit.bundle)
    bound, own = policy.resolve(limit)
    try:
        tiers = check(edit.config, bundle.cpuset(edit.bundle))
        near = cpus.cpus_off_far_nodes(tiers) if edit.config.far_nodes else ""
        found = limits(bound, own, tiers)
    except HostError as error:
        if edit.config.on_unsupported != "warn":
            raise
        edit.warn(HostError(f"the container runs without a bound: {error.message}", error.hint))
        return {}, ""
    if useless := checks.useless(bound, own, limit, tiers.local):
        edit.warn(InputError(f"the container: {useless}", "Ask for less than that"))
    return found, near


def _above(limit: int | None, value: int) -> bool:
    return limit is None or limit > value
