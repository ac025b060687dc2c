# SPDX-License-Identifier: Apache-2.0
"""``bede-hook STAGE``: the hook that a container's runtime calls at each stage of the container's life.

Usage: ``bede-hook createRuntime|prestart|poststart|poststop [--user-high BYTES|max]``, with the OCI
state on standard input. Exit codes are those of ``ocihook/errors.py``; one line on stderr says what is wrong.
"""

import os

from ocihook import config as configuration
from ocihook import fs
from ocihook.errors import AccessError, BedeError, HostError, InputError
from ocihook.spec import annotation
from ocihook.spec import state as oci
from ocihook.state import records, report, timeout

PROGRAM = "bede-hook"
_START = ("createRuntime", "prestart")  # prestart is the older name, whose hooks runc still runs
_STAGES = (*_START, "poststart", "poststop")
_USAGE = "Usage: bede-hook createRuntime|prestart|poststart|poststop [--user-high BYTES|max] < STATE"


def main(argv: list[str]) -> int:
    """Run the stage in *argv* (with the program's own path first). Return the exit code."""
    try:
        return _run(argv)
    except BedeError as error:
        report.failure(error.line(PROGRAM))
        return error.exit_code
    except Exception as error:
        return _internal(error)


def _run(argv: list[str]) -> int:
    timeout.begin()
    try:
        stage, high_given, user_high = _arguments(argv[1:])
        state = oci.parse(_stdin())
        if stage in _START:
            return _create(state, high_given, user_high, _bede_program(argv[0]))
        if stage == "poststart":
            return _poststart(state)
        return _poststop(state)
    finally:
        timeout.end()  # the time-out must not interrupt the report of an error


def _arguments(arguments: list[str]) -> tuple[str, bool, int | None]:
    if not arguments or arguments[0] not in _STAGES:
        given = f"{arguments[0][:40]!a} is not a stage" if arguments else "no stage given"
        raise InputError(given, _USAGE)
    rest = arguments[1:]
    if not rest:
        return arguments[0], False, None
    if len(rest) == 2 and rest[0] == "--user-high":
        if rest[1] == "max":
            return arguments[0], True, None
        if rest[1].isascii() and rest[1].isdigit() and len(rest[1]) < 20:
            return arguments[0], True, int(rest[1])
    raise InputError(f"cannot read the arguments after {arguments[0]}", _USAGE)


def _stdin() -> bytes:
    try:
        return fs.read_fd(0, oci.LIMIT)
    except OSError as error:
        raise InputError(f"cannot read the container's state from standard input: {error.strerror}") from None


def _create(state: oci.State, high_given: bool, user_high: int | None, bede: str) -> int:
    policy = annotation.parse(state.annotations)
    if policy is None:
        return 0
    _need_root()
    if not state.pid:
        raise InputError("the container's state has no pid", "Call bede-hook as an OCI hook after create")
    config = configuration.load()
    try:
        from ocihook.backends import bind
        from ocihook.backends.backend import UNTOLD
        from ocihook.cgroup import process

        high = user_high if high_given else UNTOLD
        record = bind.bind(
            state, policy, config, user_high=high, runtime=process.caller(), maker=os.getppid()
        )
    except HostError as error:
        if config.on_unsupported != "warn":
            raise
        warning = HostError(f"container {state.id} runs without a bound: {error.message}", error.hint)
        report.warning(warning.line(PROGRAM))
        return 0
    if record is not None:
        _tell("added", record.key, bede)
    return 0


def _poststart(state: oci.State) -> int:
    policy = annotation.parse(state.annotations)
    if policy is None:
        return 0
    _need_root()
    from ocihook.cgroup import process

    start = process.start_time(state.pid) if state.pid else None
    if start is None:
        return 0  # a short container has ended already
    record = records.read(records.key_of(state.id, state.bundle))
    if record is None:
        from ocihook.backends import bind
        from ocihook.state import chosen

        config = configuration.load()
        policy = chosen.apply(policy, state.id, lambda error: None)
        # A kernel that holds the bound by itself leaves no record, nor does a container that has ended.
        if bind.holds(state.pid, policy, config) or not process.is_same(state.pid, start):
            return 0
        if config.on_unsupported == "warn":
            return 0
        raise HostError(
            f"container {state.id} runs without the bound it asks for: there is no record of it",
            "Give it the createRuntime hook as well; see examples/ of Bede",
        )
    if (record.pid, record.pid_start) != (state.pid, start):
        raise HostError(
            f"the record of container {state.id} is of process {record.pid}, not {state.pid}",
            "Delete the container and start it again",
        )
    return 0


def _poststop(state: oci.State) -> int:
    # Some runtimes leave the annotations out here. Then only a record tells whether the container was bound.
    if state.annotations is not None and not annotation.is_any(state.annotations):
        return 0
    try:
        _need_root()
        key = records.key_of(state.id, state.bundle)
        record = records.read_or_none(key)
        if record is None:
            removed = records.remove(key)  # the record is malformed or missing
        else:
            from ocihook.backends import undo

            removed = undo.forget(record)
        if removed:
            _tell("removed", key, "")
        if record is not None:
            _restore(record)
    except BedeError as error:
        # The container has ended, and an error of Bede's must not keep the runtime from removing it.
        report.line(error.line(PROGRAM))
    return 0


def _restore(record: records.Record) -> None:
    from ocihook.cgroup import path

    cgroup = path.reopen(record.cgroup, record.cgroup_ino)
    if cgroup is None:
        return
    from ocihook.backends import undo

    with cgroup:
        try:
            undo.give_back(cgroup.fd, record)
        except OSError as error:
            if os.path.isdir(cgroup.directory):
                report.line(
                    f"{PROGRAM}: the limits of {cgroup.directory} could not be put back: {error.strerror}"
                )


def _need_root() -> None:
    from ocihook.state import user

    user.choose()
    if os.geteuid() != 0:
        raise AccessError("not root, so a bound cannot be put in force", "Call bede-hook as an OCI hook")


def _tell(op: str, key: str, bede: str) -> None:
    from ocihook.control import notify

    try:
        notify.tell(op, key, bede)
    except OSError as error:
        report.line(
            f"{PROGRAM}: the agent was not told of {key}: {error.strerror}; it looks for itself soon."
        )


def _bede_program(program: str) -> str:
    return os.path.join(os.path.dirname(os.path.realpath(program)), "bede")


def _internal(error: Exception) -> int:
    if os.environ.get("BEDE_DEBUG") == "1":
        import traceback

        report.line("".join(traceback.format_exception(error)).rstrip())
    where = f"{type(error).__name__}: {error}"
    report.failure(
        BedeError(f"internal error: {where[:300]}", "Please report it, with BEDE_DEBUG=1 set").line(PROGRAM)
    )
    return 1
