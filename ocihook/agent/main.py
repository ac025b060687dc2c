# SPDX-License-Identifier: Apache-2.0
"""The agent's main program: adopt containers, then answer clients; leave the bounds in force at the end."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import time
from pathlib import Path

from ocihook import config, native
from ocihook.agent import capacity, orphans, release, server, supervisor
from ocihook.agent.journal_thread import JournalThread
from ocihook.agent.registry import Registry
from ocihook.control import notify
from ocihook.errors import AccessError, AgentError, BedeError, InputError
from ocihook.follow.discover import Discovery
from ocihook.follow.family import Families, Family
from ocihook.follow.follower import Follower
from ocihook.follow.sources import Sources
from ocihook.follow.vanish import Vanish
from ocihook.journal import Reporter, complain, know, report
from ocihook.loop import Loop
from ocihook.state import records, user

SWEEP = 1.0  #: seconds between two checks for changes that no message announces
IDLE = 2.0  #: seconds without a live container after which an agent that a hook started ends


def run() -> int:
    """Hold the bounds of this host until SIGTERM. Return the exit status. Raises BedeError."""
    rootless, lock = _begin()
    _more_files()
    agent = Agent(_settings())
    # Subscribe before any thread exists, since this forks. Finish that later: fences wait to be moved, so the
    # containers come first. Only the host's root may receive the kernel's process events.
    if not rootless:
        agent.sources.subscribe()
        _prepare_heat()
    orphans.restore_lost_records()
    # Drop capabilities before more threads start: a thread inherits those of its creator.
    _confine()
    with JournalThread():
        agent.registry.adopt_all()
        with server.listen() as listener:
            agent.serve(listener)
            _check_config()
            held = len(agent.registry.containers)
            report(f"ready, holding {held} containers", "ready", containers=held)
            agent.registry.ready = True
            supervisor.tell("READY=1")
            agent.loop.run()
            supervisor.tell("STOPPING=1")
        agent.close()
    os.close(lock)
    return 0


def release_all() -> int:
    """Lift the bound of every container for good, while no agent runs. Return the exit status.

    Raises BedeError.
    """
    _, lock = _begin()
    count = release.release_all()
    report(f"{count} containers let go, each with its own memory.high again", "let_go", containers=count)
    os.close(lock)
    return 0


def _begin() -> tuple[bool, int]:
    """Take the lock of which a host (or a rootless user) has one, so that one agent runs. Raises BedeError.

    Return (whether this is a rootless user's agent, the lock's descriptor).
    """
    rootless = user.choose()
    if os.geteuid() != 0:
        raise AccessError("the agent must run as root", "Start it by systemctl start bede-agent")
    return rootless, _only_one()


class Agent:
    """Everything that lives as long as the agent, tied to one loop."""

    def __init__(self, settings: config.Config) -> None:
        self.loop = Loop()
        self.families = Families()
        self.registry = Registry(settings, self.families)
        self.follower = Follower(self.families, Reporter(), settings, self.loop.after)
        self.sources = Sources(self.loop, self.follower, self._answer_clients)
        self.follower.on_found = self._found
        self._vanish = Vanish(self.loop, self.families, self.sources.rescan)
        self._memory = capacity.Watch(settings.far_nodes)
        self._settling = False
        self._listener: socket.socket | None = None
        self._changed = _changed()
        self._busy = time.monotonic()

    def serve(self, listener: socket.socket) -> None:
        """Answer clients at *listener* from now on, and start the periodic work."""
        self._listener = listener
        self.loop.add(listener.fileno(), self._answer_clients)
        self.loop.add(self.registry.notify_fd, self._attend)
        self.loop.add(_signals(), self.loop.stop)
        self.loop.add(self._memory.fileno(), self._memory_changes)
        self._sweep()
        if seconds := supervisor.watchdog_seconds():
            self._watch(seconds / 2)

    def close(self) -> None:
        """Release all resources. The containers keep their bounds."""
        self.registry.close()
        self.sources.close()
        self.loop.close()

    def _answer_clients(self) -> None:
        if self._listener is not None:
            server.drain(self.registry, self._listener)
            self.sources.adjust()

    def _found(self, family: Family) -> None:
        know(family.id, family.cgroup.path)
        self._vanish.watch(family)
        if family.pid_ns is None:
            self.sources.rescan()  # no event reports the forks that happened before now

    def _attend(self) -> None:
        self.registry.attend()
        self._follow_anew()

    def _follow_anew(self) -> None:
        """Subscribe to the events that the containers need now, and scan all processes if lineage matters.

        Lineage means who forked whom. A container that is new, or was adopted again, has none yet.
        """
        self.sources.adjust()
        if self.families.has_lineage:
            self.sources.rescan()

    def _memory_changes(self) -> None:
        self._memory.take()
        if not self._settling:
            self._settle()

    def _settle(self) -> None:
        if self._memory.settle(self.registry):
            self.follower.discovery = Discovery(self.registry.config)
            self._follow_anew()
        left = self._memory.left()
        self._settling = left is not None
        if left is not None:
            self.loop.after(left, self._settle)

    def _sweep(self) -> None:
        """Check for what no message announces: a record whose hook could not reach us, or an idle agent."""
        before, self._changed = self._changed, _changed()
        if before != self._changed and self.registry.adopt_all():
            self.sources.rescan()
        self.sources.adjust()
        self.registry.look_after()
        if os.environ.get(notify.ON_DEMAND) == "1":
            if self.registry.any_alive():
                self._busy = time.monotonic()
            elif time.monotonic() - self._busy >= IDLE:
                self.loop.stop()
        self.loop.after(SWEEP, self._sweep)

    def _watch(self, seconds: float) -> None:
        supervisor.tell("WATCHDOG=1")
        self.loop.after(seconds, lambda: self._watch(seconds))


def _changed() -> int:
    """Return a number that changes with every record that is written or removed.

    So the agent notices a record whose hook could not reach it.
    """
    try:
        return os.stat(f"{records.RUN}/containers").st_mtime_ns
    except OSError:
        return 0


def _settings() -> config.Config:
    """Return the configuration. If it cannot be read, report that and return the defaults.

    Fences that are in force need an agent in any case.
    """
    try:
        return config.load()
    except BedeError as error:
        text = f"{error.message}; the agent ignores the file and uses the defaults"
        complain(InputError(text, error.hint), "config")
        return config.Config()


def _only_one() -> int:
    os.makedirs(records.RUN, 0o700, exist_ok=True)
    fd = os.open(f"{records.RUN}/agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise AgentError(
            "the agent is running already", "Stop it first: systemctl stop bede-agent.socket bede-agent"
        ) from None
    return fd


def _more_files() -> None:
    """Raise the limit of open files: a container takes some twenty, and a host may have hundreds."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _signals() -> int:
    """Return a descriptor that becomes readable when SIGTERM or SIGINT asks the agent to end."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer)
    return reader


def _check_config() -> None:
    """Warn if a YAML library reads the configuration differently from the hook, which has none."""
    try:
        import yaml
    except ImportError:
        return
    try:
        text = Path(config.PATH).read_text()
        if (yaml.safe_load(text) or {}) != config.read_flat(text):
            text = "a YAML library reads this file differently from Bede; write its values more plainly"
            report(f"{config.PATH}: {text}", "config")
    except (FileNotFoundError, BedeError):
        return  # config.load() has reported that already
    except (OSError, ValueError, yaml.YAMLError) as error:
        report(f"{config.PATH}: {error}", "config")


def _prepare_heat() -> None:
    """Load what measures heat best. Without it heat is measured at a higher price."""
    try:
        native.prepare_heat()
    except OSError as error:
        report(f"heat is measured without accessed bits: {error.strerror}", "no_bpf")


def _confine() -> None:
    """Keep three capabilities: for thread priority, everybody's cgroup files, and others' namespaces.

    Where the processor can sample accesses to memory for the agent, keep that for perf events, too.
    """
    try:
        import prctl
    except ImportError:
        return
    prctl.set_name("bede-agent")
    prctl.set_no_new_privs(1)
    keep = [prctl.CAP_SYS_NICE, prctl.CAP_DAC_OVERRIDE, prctl.CAP_SYS_PTRACE]
    if native.heat_takes_perfmon():
        keep.append(prctl.CAP_PERFMON)
    # Keep this order: each step needs a capability that the next step gives up.
    prctl.capbset.limit(*keep)
    prctl.cap_effective.limit(*keep)
    prctl.cap_permitted.limit(*keep)
