# SPDX-License-Identifier: Apache-2.0
"""`bede run`: fork, put the child into a cgroup, bind it, let it become the command, wait."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator
from typing import NamedTuple

from ocihook import config
from ocihook.backends import bind, undo
from ocihook.cgroup import path
from ocihook.control import notify
from ocihook.errors import AccessError, BedeError, HostError, InputError
from ocihook.launch import place
from ocihook.launch.child import Child
from ocihook.spec import annotation
from ocihook.spec import state as oci
from ocihook.state import records

NOT_FOUND, NOT_EXECUTABLE = 127, 126  #: exit statuses, the same as a shell's
_BUNDLE = "/"  # stands in for a bundle's path, from which the key of a record is made
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Job(NamedTuple):
    """A command to run, and its bound."""

    argv: list[str]
    annotations: dict[str, str]  #: the same as a container's
    name: str | None = None  #: its id in `bede ps` and `bede set`; None: run-PID
    user: str | None = None  #: the user to run it as; None: the caller
    bede: str = "/usr/bin/bede"  #: the program that starts an agent if none runs


def run(job: Job) -> int:
    """Run *job* to its end. Return its exit status; 126 or 127 if it cannot be run. Raises BedeError."""
    policy = annotation.parse(job.annotations)
    assert policy is not None
    settings = config.load()
    if os.geteuid() != 0:
        raise AccessError("only root may bind a command", "Use sudo, and --user to run it as yourself")
    if job.name is not None:
        _free(oci.check_id(job.name))
    child = Child(job.argv, job.user)
    try:
        name = job.name or f"run-{child.pid}"
        with place.placed(child.pid, f"bede-{name}", f"bede run: {' '.join(job.argv)[:200]}") as where:
            record = _bind(oci.State(name, child.pid, _BUNDLE, "created", job.annotations), policy, settings)
            if record is not None:
                _tell("added", record.key, job.bede)
            try:
                with _signals_for(child.pid):
                    return _go(child, job.argv[0])
            finally:
                child.cancel()
                # Processes that the command leaves behind stay bound; the agent removes the record later.
                if record is not None and place.is_empty(where):
                    undo.forget(record)
                    _tell("removed", record.key, job.bede)
    finally:
        child.cancel()


def _free(name: str) -> None:
    record = records.read_or_none(records.key_of(name, _BUNDLE))
    cgroup = path.reopen(record.cgroup, record.cgroup_ino) if record else None
    if cgroup is not None:
        cgroup.close()
        raise InputError(f"there is a bound command called {name} already", "Choose another --name")


def _bind(state: oci.State, policy: annotation.Policy, settings: config.Config) -> records.Record | None:
    try:
        return bind.bind(state, policy, settings, runtime="bede run", warn=_warn)
    except HostError as error:
        if settings.on_unsupported != "warn":
            raise
        _warn(HostError(f"the command runs without a bound: {error.message}", error.hint).line("bede"))
        return None


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _go(child: Child, program: str) -> int:
    error = child.release()
    status = child.wait()
    if error is None:
        return status
    print(InputError(f"{program} cannot be run: {error.strerror}").line("bede"), file=sys.stderr)
    return NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE


@contextlib.contextmanager
def _signals_for(pid: int) -> Iterator[None]:
    """Pass signals on to the command. Ignore those of a terminal, which the command gets itself."""

    def send(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    before = {number: signal.signal(number, send) for number in _PASSED_ON}
    before |= {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(op: str, key: str, bede: str) -> None:
    try:
        notify.tell(op, key, bede)
    except OSError as error:
        _warn(BedeError(f"the agent was not told: {error.strerror}", "It looks for itself soon").line("bede"))
