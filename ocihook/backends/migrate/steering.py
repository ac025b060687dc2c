# SPDX-License-Identifier: Apache-2.0
"""Steering and moving, on a stock kernel whose far nodes are no lower tier: nothing is ever demoted there.

The container's tasks get a policy, ``MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES``, that is relative to what
``cpuset.mems`` allows. With the local nodes alone ("home") they allocate on these; once the far ones are
allowed too ("away"), the same policy means the far ones, and nothing that is there already is migrated. The
agent (native/migrate.c) writes the one or the other, and moves pages between the nodes (native/mover.c).
What cannot be steered is held by ``memory.high`` and by moving alone.
"""

import os

from ocihook import fs, host
from ocihook.backends import cpus
from ocihook.cgroup import cpuset
from ocihook.errors import HostError
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from types import ModuleType

    from ocihook.backends.backend import Asked
    from ocihook.cgroup.path import Cgroup
    from ocihook.config import Config
    from ocihook.spec.state import State

MEMS = "cpuset.mems"
HOME, AWAY, CPUS, NEAR, MASK = "home", "away", "cpus", "near", "mask"  #: keys of what :func:`steer` returns
_BITS = 64
_POLICY = "interleave=relative:"  # in numa_maps
_TRIES = 50  # at a thread that is just not waiting; 10 ms each
_NOT_STARTED = ("creating", "created")


def mask(allowed: "Collection[int]", far: "Collection[int]") -> int | None:
    """The policy's nodes where *allowed* ones are: bit b stands for the (b modulo their number)th.

    None where it would leave a local node out at home.
    """
    order = sorted(allowed)
    wanted = {order.index(node) for node in far if node in order}
    here = len(order) - len(wanted)
    bits = [bit for bit in range(_BITS) if bit % len(order) in wanted] if here else []
    if not bits or {bit % here for bit in bits} != set(range(here)):
        return None
    return sum(1 << bit for bit in bits)


def host_mask(config: "Config", mems: str) -> int | None:
    """The mask for a container whose cpuset will be *mems* ("" for all); None where it is not steered."""
    if mems.strip():
        return None
    memory = nodes.with_memory()
    return mask(memory, config.far_nodes)


def recorded_mask(container: str) -> int:
    """The policy's nodes of the container with that id, by its record; 0 where it is not steered."""
    from ocihook.errors import BedeError
    from ocihook.state import records

    if os.geteuid() != 0:
        return 0
    try:
        found, _ = records.listing()
    except BedeError:
        return 0
    masks = [record.cpuset[MASK] for record in found if record.id == container and MASK in record.cpuset]
    return (fs.number(masks[0]) or 0) if masks else 0


def take(wanted: int) -> None:
    """Steer this process, and what it will become, by the mask *wanted*; 0 does nothing. Best effort."""
    if not wanted:
        return
    try:  # noqa: SIM105 - contextlib would be one more import in every container's start
        load_native().set_policy(wanted)
    except (ImportError, OSError):
        pass  # the hook tries another way, and says what is wrong


def load_native() -> "ModuleType":
    """The border to C, also where the interpreter was started without its packages. Raises ImportError."""
    try:
        from ocihook import native
    except ImportError:
        import site

        site.main()
        from ocihook import native
    return native


def steer(cgroup: "Cgroup", state: "State", tiers: Tiers, given: dict[str, str]) -> None:
    """Have the container's tasks allocate locally, and keep its CPUs near.

    Into *given* comes what an agent has to know: ``home`` and ``away``, the lists for ``cpuset.mems``, where
    it is steered, and ``mask``, the policy's; ``cpus``, those it could use before, and ``near``, those it
    got, where some were taken. The kernel lets no list become empty again while there are tasks. Raises
    HostError: it is not steered, and why.
    """
    try:
        cpuset.enable(cgroup, own=True)
        all_cpus = fs.read("cpuset.cpus.effective", dir_fd=cgroup.fd).strip()
        if cpus.keep(cgroup.fd, cpus.near(tiers)):
            given |= {CPUS: all_cpus, NEAR: fs.read(cpus.CPUS, dir_fd=cgroup.fd).strip()}
        mems = fs.read(MEMS, dir_fd=cgroup.fd).strip()
        allowed = nodes.parse_list(fs.read("cpuset.mems.effective", dir_fd=cgroup.fd))
    except OSError as error:
        raise HostError(f"its cpuset cannot be used: {error.strerror}") from None
    if mems:
        return  # which nodes it may use is its user's own choice
    wanted = mask(allowed, tiers.far)
    if wanted is None:
        raise HostError("no policy covers all of its local nodes")
    far = [node for node in tiers.far if node in allowed]
    try:
        if not _has_policy(state.pid, far):
            if state.status not in _NOT_STARTED:
                raise HostError("it runs already, without the policy that steers")
            _inject(state.pid, wanted)
        home = nodes.format_list([node for node in allowed if node not in far])
        fs.write(MEMS, home, dir_fd=cgroup.fd)
    except ImportError as error:
        raise HostError(f"Bede's native part cannot be used: {error}", "Install python3-cffi") from None
    except OSError as error:
        raise HostError(f"its processes do not take the policy: {error.strerror}") from None
    given |= {HOME: home, AWAY: nodes.format_list(allowed), MASK: str(wanted)}


def steer_or_warn(cgroup: "Cgroup", asked: "Asked", tiers: Tiers, given: dict[str, str]) -> None:
    """Steer the container, or warn that its bound is held by moving alone, which costs more."""
    try:
        steer(cgroup, asked.state, tiers, given)
    except HostError as error:
        unsteer(asked.state)
        warning = HostError(f"container {asked.state.id} is not steered: {error.message}", error.hint)
        asked.warn(warning.line("bede"))


def unsteer(state: "State") -> None:
    """Take the policy back from a container that has not begun and is not steered: it would allocate far.

    Best effort: if that cannot be determined, it is left as it is.
    """
    if state.status not in _NOT_STARTED:
        return
    try:
        if _POLICY in fs.read(host.path(f"/proc/{state.pid}/numa_maps")):
            _inject(state.pid, 0)
    except (OSError, ImportError):
        return


def is_valid(given: dict[str, str]) -> bool:
    """Whether the policy still means what it did: it counts on the nodes that there were at the start."""
    if HOME not in given:
        return False
    memory = nodes.with_memory()
    return all(node in memory for node in nodes.parse_list(given[AWAY]))


def allowed(cgroup_fd: int, given: dict[str, str], tiers: Tiers) -> Tiers:
    """Those of *tiers* that the container may use."""
    may = nodes.parse_list(
        given[AWAY] if HOME in given else fs.read_or("cpuset.mems.effective", "", dir_fd=cgroup_fd)
    )
    local = tuple(node for node in tiers.local if node in may)
    far = tuple(node for node in tiers.far if node in may)
    return Tiers(local or tiers.local, far or tiers.far)


def release(cgroup_fd: int, given: dict[str, str]) -> None:
    """Take back what :func:`steer` has done, which told *given*; what others wrote stays. Raises OSError."""
    if CPUS in given and fs.read(cpus.CPUS, dir_fd=cgroup_fd).strip() == given[NEAR]:
        fs.write(cpus.CPUS, given[CPUS], dir_fd=cgroup_fd)
    if HOME in given and fs.read(MEMS, dir_fd=cgroup_fd).strip() == given[HOME]:
        fs.write(MEMS, given[AWAY], dir_fd=cgroup_fd)


def _has_policy(pid: int, far: list[int]) -> bool:
    """Whether the policy of *pid* is ours, by what it means while every node is allowed."""
    for line in fs.read(host.path(f"/proc/{pid}/numa_maps")).splitlines():
        policy = line.split(" ", 2)[1]
        if policy.startswith(_POLICY):
            return list(nodes.parse_list(policy.removeprefix(_POLICY))) == far
    return False


def _inject(pid: int, wanted: int) -> None:
    """Give the policy to all threads of *pid*. Raises OSError."""
    native = load_native()
    for name in sorted(os.listdir(host.path(f"/proc/{pid}/task")), key=int):
        try:
            native.inject_policy(int(name), wanted, _TRIES)
        except ProcessLookupError:
            continue
