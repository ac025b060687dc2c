# SPDX-License-Identifier: Apache-2.0
"""What a backend is: a package in this folder that offers the functions of :class:`Backend`.

No code outside of this folder compares names of backends: it gets one from :mod:`ocihook.backends.choose` and
calls its functions. This file is loaded at every container's start, so it imports nothing.
"""

UNTOLD = -1  #: stands for a user's ``memory.high`` that the caller does not know: read it from the cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol

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


class BundleEdit:
    """What a backend needs to edit the bundle of a new container; `bede-runtime` fills it in."""

    def __init__(
        self,
        container: str,
        bundle: "dict[str, Any]",
        policy: "Policy",
        config: "Config",
        hook: str,
        own: bool,
        fence: bool,
        warn: "Callable[[BedeError], None]",
    ) -> None:
        self.container = container  #: its id
        self.bundle = bundle  #: the config.json, to be changed in place
        self.policy = policy
        self.config = config
        self.hook = hook  #: the path of bede-hook
        self.own = own  #: whether the container certainly gets a cgroup to itself
        self.fence = fence  #: whether the runtime can write its ``memory.high``
        self.warn = warn  #: call this with a warning about what works less well


class BindRequest:
    """A bound that the hook or `bede run` asks for, and the process that it is for."""

    def __init__(
        self,
        state: "State",
        start: int,
        namespaces: dict[str, int],
        policy: "Policy",
        config: "Config",
        user_high: int | None,
        runtime: str,
        warn: "Callable[[str], None]",
    ) -> None:
        self.state = state
        self.start = start  #: when the process was started, in clock ticks since boot
        self.namespaces = namespaces  #: the inodes of its namespaces, by name
        self.policy = policy
        self.config = config
        self.user_high = user_high  #: bytes, None for "max", or UNTOLD
        self.runtime = runtime  #: the program that started the process
        self.warn = warn  #: call this with a line about what works less well


class AgentServices:
    """What the agent gives to a backend for holding a container."""

    def __init__(self, notify_fd: int, config: "Config", warn: "Callable[[str, str], None]") -> None:
        self.notify_fd = notify_fd  #: an eventfd to which holders write when the agent has to look at them
        self.config = config
        self.warn = warn  #: call this with a text and the name of the event


class Explanation:
    """The parts of `bede explain` for one container that depend on the backend."""

    def __init__(
        self,
        origin: str,
        by_node: dict[str, int],
        held_by: list[tuple[str, str]],
        promotion: str,
        elsewhere: str,
    ) -> None:
        self.origin = origin  #: who put the bound in force; "" if the record says that
        self.by_node = by_node  #: bounds in bytes of single nodes, beside the one on all of them
        self.held_by = held_by  #: (subject, fact) each
        self.promotion = promotion  #: who promotes pages that became hot
        self.elsewhere = elsewhere  #: how another kernel would hold the same bound


if TYPE_CHECKING:

    class Backend(Protocol):
        """One way to hold bounds. Each function may import what it needs only when it is called."""

        NAME: str  #: its name in records, `bede ps` and the documentation
        WHY: str  #: when it is chosen, in the words of `bede doctor`
        KERNEL: str  #: what `bede doctor` says of a kernel that it is chosen on
        NEEDS_AGENT: bool  #: whether it needs an agent; else the kernel holds the bound by itself
        MOVES_PAGES: bool  #: whether the agent moves pages itself, and counts them
        FOR_USERS: bool  #: whether it can hold the (rootless) containers of users other than root

        # The host

        def possible(self, config: Config) -> Tiers:
            """Return this host's local and far nodes. Raises HostError where no bound can be held."""

        def examine(self, tiers: Tiers | None) -> Iterator[Finding]:
            """Yield the findings of `bede doctor` about what this backend needs."""

        # A container's start

        def prepare(self, edit: BundleEdit) -> bool:
            """Change the bundle of *edit* before there is a process. Return whether it was changed.

            Raises BedeError.
            """

        def prepare_exec(self, container: str) -> None:
            """Prepare this process to become one in that container (exec), for which no hook is called."""

        def check(self, config: Config, cgroup_fd: int) -> Tiers:
            """Check the container in that cgroup like :meth:`possible`, and enable what is off on the host.

            Return the nodes. Raises HostError.
            """

        def bind(self, cgroup: Cgroup, request: BindRequest) -> Record | None:
            """Put the bound in force, completely or not at all. Return its record; None if none is needed.

            Raises BedeError.
            """

        def abandon(self, state: State) -> None:
            """Undo what the wrapper did to a container that may start without a bound. Best effort."""

        def holds(self, cgroup: Cgroup, policy: Policy, config: Config) -> bool:
            """Return whether the bound of *policy* is in force in *cgroup* without a record.

            Raises OSError, BedeError.
            """

        # Its end

        def release(self, cgroup_fd: int, record: Record) -> None:
            """Undo :meth:`bind` as far as possible. Raises OSError."""

        def forget(self, record: Record) -> None:
            """Remove what exists outside the cgroup for the container of *record* alone. Best effort."""

        # The agent

        def hold(self, cgroup: Cgroup, record: Record, tiers: Tiers, agent: AgentServices) -> Holder:
            """Begin to hold the bound of *record*, and enable again what the host may have disabled.

            Return the holder. Raises OSError, BedeError.
            """

        def look_after(self, cgroup_fd: int, record: Record) -> None:
            """Put back settings of the container that other programs changed. Best effort, once a second."""

        def troubles(self, record: Record, tiers: Tiers, stats: Stats) -> Iterator[tuple[str, BedeError]]:
            """Yield what is wrong with a held container, each as (name of the event, error)."""

        # People

        def listing(self) -> list[Status]:
            """Return the containers that this backend holds without an agent. Raises BedeError.

            The agent lists those that it holds.
            """

        def status(self, record: Record, stats: Stats) -> Status:
            """Return what `bede ps` shows of a container that the agent holds."""

        def bound(self, container: Status, cgroup_fd: int, tiers: Tiers) -> int:
            """Return the bound that is in force this instant, in bytes."""

        def set_bound(self, container: Status, size: str) -> Change:
            """Hold another bound from now on (`bede set`). Return the change, which is in force by then.

            Raises BedeError.
            """

        def explain(self, container: Status, cgroup_fd: int, config: Config) -> Explanation:
            """Return how the container is held. Raises OSError."""

        def alternative(self, container: Status, config: Config) -> str:
            """Return, in words, how this backend would hold the bound of a container of another backend."""

        def label(self, container: Status) -> str:
            """Return this backend's name, perhaps with a remark, for a column of `bede ps`."""
