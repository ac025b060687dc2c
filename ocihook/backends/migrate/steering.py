# SPDX-License-Identifier: Apache-2.0
"""Steering and moving, on a stock kernel whose far nodes are no lower tier, so that it demotes nothing.

The container's tasks get a policy, ``MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES``, whose nodes are counted among
those that ``cpuset.mems`` allows. While that allows the local nodes alone ("home"), tasks allocate on these;
once it allows the far ones, too ("away"), the same policy means the far ones, and no existing page is
migrated. The agent (native/migrate.c) switches between the two lists, and moves pages (native/mover.c). If a
container cannot be steered, ``memory.high`` and moving alone hold its bound.
"""

from ocihook import fs
from ocihook.backends import cpus, policy
from ocihook.cgroup import cpuset
from ocihook.errors import HostError
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from ocihook.backends.backend import BindRequest
    from ocihook.cgroup.path import Cgroup
    from ocihook.config import Config
    from ocihook.spec.state import State

MEMS = "cpuset.mems"
#: keys in ``given`` of :func:`steer`, and in the record's ``cpuset``
HOME, AWAY, CPUS, NEAR, MASK = "home", "away", "cpus", "near", "mask"
_BITS = 64  # of the node mask: one unsigned long of set_mempolicy(2)
_POLICY = "interleave=relative:"  # how /proc/PID/numa_maps shows the policy


def mask(allowed: "Collection[int]", far: "Collection[int]") -> int | None:
    """Return the node mask of the policy for the nodes *allowed* when away; None if no mask works.

    The kernel counts relatively: bit b stands for the (b modulo n)th of n allowed nodes. The mask has all
    bits that mean far nodes when away. At home, with fewer nodes allowed, the same bits must cover every
    local node.
    """
    order = sorted(allowed)
    wanted = {order.index(node) for node in far if node in order}
    here = len(order) - len(wanted)
    bits = [bit for bit in range(_BITS) if bit % len(order) in wanted] if here else []
    if not bits or {bit % here for bit in bits} != set(range(here)):
        return None
    return sum(1 << bit for bit in bits)


def host_mask(config: "Config", mems: str) -> int | None:
    """Return the mask for a container whose cpuset will be *mems*; None if it is not to be steered.

    That is the case if *mems* names nodes, since then its user has chosen, and if no mask works on this host.
    """
    if mems.strip():
        return None
    memory = nodes.with_memory()
    return mask(memory, config.far_nodes)


def recorded_mask(container: str) -> int:
    """Return the policy's mask of the container with that id, by its record; 0 if it is not steered."""
    # Of several records take the last mask.
    masks = [fs.number(given.get(MASK, "")) for given in policy.recorded(container)]
    return next(filter(None, reversed(masks)), 0)


def take(wanted: int) -> None:
    """Give this process the policy with mask *wanted*; 0 does nothing. Best effort."""
    if wanted:
        policy.take("STEERING_POLICY", wanted)


def steer(cgroup: "Cgroup", state: "State", tiers: Tiers, given: dict[str, str]) -> None:
    """Make the container's tasks allocate locally, and keep them off the CPUs of far nodes.

    Store in *given* what the agent needs. If the container is steered: ``home`` and ``away``, the lists for
    ``cpuset.mems``, and ``mask``, the policy's. If it lost CPUs: ``cpus``, those it could use before, and
    ``near``, those it has now; with tasks in the cgroup the kernel does not let the list become empty again.
    Raises HostError with the reason if the container is not steered.
    """
    try:
        cpuset.enable(cgroup, own=True)
        all_cpus = fs.read("cpuset.cpus.effective", dir_fd=cgroup.fd).strip()
        if cpus.keep(cgroup.fd, cpus.cpus_off_far_nodes(tiers)):
            given |= {CPUS: all_cpus, NEAR: fs.read(cpus.CPUS, dir_fd=cgroup.fd).strip()}
        mems = fs.read(MEMS, dir_fd=cgroup.fd).strip()
        allowed = nodes.parse_list(fs.read("cpuset.mems.effective", dir_fd=cgroup.fd))
    except OSError as error:
        raise HostError(
            f"its cpuset cannot be used: {error.strerror}", "Run bede doctor, which checks that controller"
        ) from None
    if mems:
        return  # the user has chosen the container's nodes
    wanted = mask(allowed, tiers.far)
    if wanted is None:
        raise HostError(
            "no memory policy can switch between all of its local nodes and its far ones",
            "Name other far_nodes in Bede's configuration, or allow the container more nodes",
        )
    far = [node for node in tiers.far if node in allowed]
    try:
        if not _has_policy(state.pid, far):
            if state.status not in policy.NOT_STARTED:
                raise HostError(
                    "it runs already, and its first process lacks the memory policy that steers it",
                    "Start the container again",
                )
            policy.inject(state.pid, "STEERING_POLICY", wanted)
        home = nodes.format_list([node for node in allowed if node not in far])
        fs.write(MEMS, home, dir_fd=cgroup.fd)
    except ImportError as error:
        raise HostError(f"Bede's native part cannot be used: {error}", "Install python3-cffi") from None
    except OSError as error:
        raise HostError(
            f"Bede cannot give its processes the memory policy: {error.strerror}",
            "If kernel.yama.ptrace_scope is 3, boot with a lower value: Bede needs ptrace",
        ) from None
    given |= {HOME: home, AWAY: nodes.format_list(allowed), MASK: str(wanted)}


def steer_or_warn(cgroup: "Cgroup", request: "BindRequest", tiers: Tiers, given: dict[str, str]) -> None:
    """Steer the container; if that fails, warn its user: moving alone holds the bound, at a higher cost."""
    try:
        steer(cgroup, request.state, tiers, given)
    except HostError as error:
        unsteer(request.state)
        warning = HostError(f"container {request.state.id} is not steered: {error.message}", error.hint)
        request.warn(warning.line("bede"))


def unsteer(state: "State") -> None:
    """Give a container that has not started the default policy again. Best effort.

    Call this if the container will not be steered: while ``cpuset.mems`` allows the far nodes, too, the
    policy of steering means these, and the container would allocate far memory.
    """
    if state.status not in policy.NOT_STARTED:
        return
    try:
        if any(shown.startswith(_POLICY) for shown in policy.of(state.pid)):
            policy.inject(state.pid, "DEFAULT_POLICY")
    except (OSError, ImportError):
        return


def is_valid(given: dict[str, str]) -> bool:
    """Return whether the policy still means the same nodes: all nodes of the start still have memory."""
    if HOME not in given:
        return False
    memory = nodes.with_memory()
    return all(node in memory for node in nodes.parse_list(given[AWAY]))


def allowed(cgroup_fd: int, given: dict[str, str], tiers: Tiers) -> Tiers:
    """Return those nodes of *tiers* that the container may use; if it may use none of a kind, all of that
    kind."""
    may = nodes.parse_list(
        given[AWAY] if HOME in given else fs.read_or("cpuset.mems.effective", "", dir_fd=cgroup_fd)
    )
    local = tuple(node for node in tiers.local if node in may)
    far = tuple(node for node in tiers.far if node in may)
    return Tiers(local or tiers.local, far or tiers.far)


def release(cgroup_fd: int, given: dict[str, str]) -> None:
    """Undo :func:`steer`, which stored *given*; keep what others have written since. Raises OSError."""
    if CPUS in given and fs.read(cpus.CPUS, dir_fd=cgroup_fd).strip() == given[NEAR]:
        fs.write(cpus.CPUS, given[CPUS], dir_fd=cgroup_fd)
    if HOME in given and fs.read(MEMS, dir_fd=cgroup_fd).strip() == given[HOME]:
        fs.write(MEMS, given[AWAY], dir_fd=cgroup_fd)


def _has_policy(pid: int, far: list[int]) -> bool:
    """Return whether *pid* has Bede's policy, which shows as the far nodes while all nodes are allowed."""
    for shown in policy.of(pid):
        if shown.startswith(_POLICY):
            return list(nodes.parse_list(shown.removeprefix(_POLICY))) == far
    return False
