"""The agent's life: adopt first, then answer; end without letting go of anybody."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import time
from pathlib import Path

from ocihook import config
from ocihook.agent import server
from ocihook.agent.keeper import Keeper, say
from ocihook.errors import AccessError, AgentError, BedeError
from ocihook.state import notify, records

SWEEP = 1.0  #: seconds between looks at what no message tells of
IDLE = 2.0  #: seconds without a container after which an agent that a hook started ends


def run() -> int:
    """Hold the bounds of this host until SIGTERM. Raises BedeError."""
    if os.geteuid() != 0:
        raise AccessError("the agent must run as root", "Start it by systemctl start bede-agent")
    lock = _only_one()
    keeper = Keeper(config.load())
    # Before anything that is slow to import: the containers' fences wait for somebody to move them.
    keeper.adopt_all()
    wake = _signals()
    with server.listen() as listener:
        _confine()
        _check_config()
        say(f"bede agent: ready, holding {len(keeper.kept)} containers")
        _loop(keeper, listener, wake)
    keeper.close()
    os.close(lock)
    return 0


def _loop(keeper: Keeper, listener: socket.socket, wake: int) -> None:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(wake, select.POLLIN)
    on_demand = os.environ.get(notify.ON_DEMAND) == "1"
    swept = busy = time.monotonic()
    changed = _changed()
    while not on_demand or swept - busy < IDLE:
        ready = [fd for fd, _ in poll.poll(SWEEP * 1000)]
        if wake in ready:
            return
        if listener.fileno() in ready:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                server.serve(keeper, listener.accept()[0])
        if time.monotonic() - swept >= SWEEP:
            swept = time.monotonic()
            if changed != (changed := _changed()):
                keeper.adopt_all()
            keeper.sweep()
            if keeper.any_alive():
                busy = swept


def _changed() -> int:
    """Changes with every record that is written or removed, also where no hook could tell us."""
    try:
        return os.stat(f"{records.RUN}/containers").st_mtime_ns
    except OSError:
        return 0


def _only_one() -> int:
    os.makedirs(records.RUN, 0o700, exist_ok=True)
    fd = os.open(f"{records.RUN}/agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise AgentError("the agent is running already") from None
    return fd


def _signals() -> int:
    """A descriptor that becomes readable when the agent is asked to end."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer)
    return reader


def _check_config() -> None:
    """Say so where YAML reads the configuration otherwise than the hook, which has no YAML library."""
    try:
        import yaml
    except ImportError:
        return
    try:
        text = Path(config.PATH).read_text()
        if (yaml.safe_load(text) or {}) != config.read_flat(text):
            say(
                f"bede agent: {config.PATH}: YAML would read this otherwise than Bede; write it more plainly."
            )
    except FileNotFoundError:
        return
    except (OSError, ValueError, yaml.YAMLError, BedeError) as error:
        say(f"bede agent: {config.PATH}: {error}")


def _confine() -> None:
    """Keep only what holding needs: priority for its threads, cgroup files whoever owns them."""
    try:
        import prctl
    except ImportError:
        return
    prctl.set_name("bede-agent")
    prctl.set_no_new_privs(1)
    keep = (prctl.CAP_SYS_NICE, prctl.CAP_DAC_OVERRIDE)
    # In this order: each step needs what the next one gives up.
    prctl.capbset.limit(*keep)
    prctl.cap_effective.limit(*keep)
    prctl.cap_permitted.limit(*keep)
