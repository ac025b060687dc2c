# SPDX-License-Identifier: Apache-2.0
"""What a backend is: a package in this folder that offers the functions of :class:`Backend`.

Nobody outside of this folder asks which backend holds a container: it asks :mod:`ocihook.backends.choose` for
the one of that name, and the backend does or says what is its own. A module of every container's start loads
this file, so that has no imports.
"""

UNTOLD = -1  #: a user's ``memory.high`` that no wrapper has passed on: it still stands in the cgroup

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


class Start:
    """A container that a runtime is about to make, as the wrapper sees it."""

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
        self.own = own  #: whether it certainly gets a cgroup that nobody else is in
        self.fence = fence  #: whether its ``memory.high`` can be written by the runtime
        self.warn = warn  #: gets what works less well


class Asked:
    """A bound that the hook or `bede run` asks for, and for whom."""

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
        self.start = start  #: when its process was started, in clock ticks since boot
        self.namespaces = namespaces  #: inodes by name
        self.policy = policy
        self.config = config
        self.user_high = user_high  #: bytes, None for "max", or UNTOLD
        self.runtime = runtime  #: who started the process
        self.warn = warn  #: gets a line about what works less well


class Agent:
    """What the agent that is to hold a container offers."""

    def __init__(self, notify_fd: int, move_rate: int, warn: "Callable[[str, str], None]") -> None:
        self.notify_fd = notify_fd  #: an eventfd that holders write to
        self.move_rate = move_rate  #: bytes a second that may be moved; 0 for any
        self.warn = warn  #: gets a text, and the name of the event


class Explanation:
    """What `bede explain` says of one container, as far as that is the backend's own."""

    def __init__(
        self,
        origin: str,
        by_node: dict[str, int],
        held_by: list[tuple[str, str]],
        promotion: str,
        elsewhere: str,
    ) -> None:
        self.origin = origin  #: who put the bound in force; "" where a record says so
        self.by_node = by_node  #: bounds in bytes of single nodes, beside that of them all
        self.held_by = held_by  #: facts, each behind what it is about
        self.promotion = promotion  #: who brings back what became hot
        self.elsewhere = elsewhere  #: what would hold the same bound on another kernel


if TYPE_CHECKING:

    class Backend(Protocol):
        """One way to hold bounds. Each function may import what it needs only when it is called."""

        NAME: str  #: as records, `bede ps` and the documentation call it
        WHY: str  #: when it is chosen, as `bede doctor` says it
        NEEDS_AGENT: bool  #: whether an agent has to be there; else the kernel holds the bound by itself
        MOVES_PAGES: bool  #: whether that agent moves pages itself, and counts them
        FOR_USERS: bool  #: whether it can hold a user's own (rootless) containers

        # The host

        def possible(self, config: Config) -> Tiers:
            """The tiers to bind with on this host. Raises HostError where no bound can be held."""

        def examine(self, config: Config, tiers: Tiers | None) -> Iterator[Finding]:
            """What `bede doctor` has to say of what this backend needs, or of what is in its way."""

        # A container's start

        def prepare(self, start: Start) -> bool:
            """Change the bundle of *start*, before there is a process; whether that is changed.

            Raises BedeError.
            """

        def prepare_exec(self, container: str) -> None:
            """Before this process becomes one in that container, for which no hook is called."""

        def check(self, config: Config, cgroup_fd: int) -> Tiers:
            """Like :meth:`possible`, for the container in that cgroup; turns on what the host has off."""

        def bind(self, cgroup: Cgroup, asked: Asked) -> Record | None:
            """Put a bound in force, all of it or nothing; the record of it, None where none is needed.

            Raises BedeError.
            """

        def abandon(self, state: State) -> None:
            """Take back what the wrapper did to a container that may start without a bound. Best effort."""

        def holds(self, cgroup: Cgroup, policy: Policy, config: Config) -> bool:
            """Whether the bound of *policy* is in force there without a record. Raises OSError, BedeError."""

        # Its end

        def release(self, cgroup_fd: int, record: Record) -> None:
            """Give back what :meth:`bind` has taken, all that can be. Raises OSError."""

        def forget(self, record: Record) -> None:
            """Remove what is there for the container of *record* alone, beside its cgroup. Best effort."""

        # The agent

        def resume(self, cgroup: Cgroup, record: Record) -> None:
            """Turn on what the host may have turned off since the start. Raises OSError, BedeError."""

        def hold(self, cgroup: Cgroup, record: Record, tiers: Tiers, agent: Agent) -> Holder:
            """Begin to hold the bound of *record*. Raises OSError."""

        def look_after(self, cgroup_fd: int, record: Record) -> None:
            """Now and then: put back what others have taken from the container. Best effort."""

        def troubles(self, record: Record, tiers: Tiers, stats: Stats) -> Iterator[tuple[str, BedeError]]:
            """What is wrong with a container that is held, each behind the name of the event."""

        # People

        def listing(self) -> list[Status]:
            """The containers that it holds without an agent. The agent lists the others. Raises BedeError."""

        def status(self, record: Record, stats: Stats) -> Status:
            """What `bede ps` shows of a container that the agent holds."""

        def bound(self, container: Status, cgroup_fd: int, tiers: Tiers) -> int:
            """The bound in force this instant, in bytes."""

        def set_bound(self, container: Status, size: str) -> Change:
            """`bede set`: hold another bound from now on, in force when this returns. Raises BedeError."""

        def explain(self, container: Status, cgroup_fd: int, config: Config) -> Explanation:
            """By what a container is held. Raises OSError."""

        def alternative(self, container: Status, config: Config) -> str:
            """How it would hold that container's bound, for the explanation of another backend's."""

        def label(self, container: Status) -> str:
            """Its name and what there is to add, for a column of `bede ps`."""
