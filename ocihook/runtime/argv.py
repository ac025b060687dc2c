# SPDX-License-Identifier: Apache-2.0
"""The command line of an OCI runtime, as runc and crun read it. Pure.

Both take ``--flag VALUE`` and ``--flag=VALUE``; runc also ``-flag``, crun also ``-bDIR``.
"""

REAL = "--real="  #: our one option, in the first line of a script: see :func:`of_script`

_GLOBAL_VALUES = frozenset(
    ("log", "log-format", "log-level", "root", "criu", "rootless", "cgroup-manager", "systemd-cgroup-path")
)
_GLOBAL_SWITCHES = frozenset(("debug", "systemd-cgroup", "no-pivot", "help", "h", "version", "v", "V"))
_COMMAND_VALUES = frozenset(
    ("bundle", "b", "config", "f", "console-socket", "pidfd-socket", "pid-file", "preserve-fds")
)
_EXEC_VALUES = frozenset(
    (
        *("console-socket", "cwd", "env", "e", "user", "u", "additional-gids", "g", "process", "p"),
        *("pid-file", "process-label", "apparmor", "cap", "c", "preserve-fds", "cgroup", "pidfd-socket"),
    )
)
_COMMANDS = frozenset(
    (
        *("checkpoint", "create", "delete", "events", "exec", "features", "kill", "list", "mounts", "pause"),
        *("ps", "restore", "resume", "run", "spec", "start", "state", "update"),
    )
)


class Call:
    """One call of the runtime, as far as the wrapper needs it."""

    __slots__ = ("bundle", "command", "config", "container", "log", "log_format", "manager", "systemd")

    def __init__(self) -> None:
        self.command = ""  #: the subcommand, "" when there is none
        self.bundle = "."  #: directory, as given; only of create and run
        self.config = "config.json"  #: crun's --config, relative to the bundle
        self.container = ""  #: id; only of create, run and exec
        self.log = ""  #: file of --log, "" when there is none
        self.log_format = "text"
        self.systemd = False  #: whether systemd makes the cgroup
        self.manager = ""  #: crun's --cgroup-manager: with "disabled" there is no cgroup

    @property
    def starts(self) -> bool:
        """Return whether the call creates a container from a bundle."""
        return self.command in ("create", "run")


def of_script(arguments: list[str]) -> tuple[str, list[str]]:
    """Return (the real runtime, the other arguments) of a call by one of Bede's scripts.

    Such a script begins with ``#!PATH --real=NAME``; execve(2) puts that option and the path of the script
    before the arguments. The runtime is "" for any other call.
    """
    if not arguments or not arguments[0].startswith(REAL):
        return "", arguments
    real = arguments[0].removeprefix(REAL)
    script = arguments[1:2]
    # A word with a slash is the script's path: no subcommand has one.
    return real, arguments[2 if script and script[0][:1] != "-" and "/" in script[0] else 1 :]


def parse(arguments: list[str]) -> Call:
    """Return the call in *arguments*, which lack the program's name; an empty call without a subcommand."""
    call = Call()
    at = 0
    while at < len(arguments):
        name, value = _flag(arguments[at])
        if name is None:
            call.command = arguments[at]
            break
        follows = at + 1 < len(arguments)
        if value is None and follows and _takes_value(name, arguments[at + 1]):
            at += 1
            value = arguments[at]
        _global(call, name, value)
        at += 1
    if call.starts:
        _command(call, arguments[at + 1 :])
        call.container = _first_word(arguments[at + 1 :], _COMMAND_VALUES)
    elif call.command == "exec":
        call.container = _first_word(arguments[at + 1 :], _EXEC_VALUES)
    return call


def _first_word(arguments: list[str], values: frozenset[str]) -> str:
    """Return the first word after the flags of a command, which is the container; "" if there is none.

    *values* are the flags that take a value.
    """
    at = 0
    while at < len(arguments):
        name, value = _flag(arguments[at])
        if name is None:
            return arguments[at] if arguments[at] != "--" else "".join(arguments[at + 1 : at + 2])
        at += 2 if name in values and value is None else 1
    return ""


def _takes_value(name: str, following: str) -> bool:
    if name in _GLOBAL_VALUES or name in _GLOBAL_SWITCHES:
        return name in _GLOBAL_VALUES
    # An unknown flag: the next word is its value if it is no subcommand.
    return following not in _COMMANDS and not following.startswith("-")


def _global(call: Call, name: str, value: str | None) -> None:
    if name == "log" and value is not None:
        call.log = value
    elif name == "log-format" and value is not None:
        call.log_format = value
    elif name == "systemd-cgroup":
        call.systemd = value not in ("false", "0")
    elif name == "cgroup-manager" and value is not None:
        call.manager = value
        call.systemd = value == "systemd"


def _command(call: Call, arguments: list[str]) -> None:
    at = 0
    while at < len(arguments):
        if arguments[at] == "--":
            break
        name, value = _flag(arguments[at])
        if (
            name is not None
            and name not in _COMMAND_VALUES
            and name[0] in "bf"
            and not arguments[at].startswith("--")
        ):
            name, value = name[0], arguments[at][2:]
        if name in _COMMAND_VALUES and value is None and at + 1 < len(arguments):
            at += 1
            value = arguments[at]
        if name in ("bundle", "b") and value is not None:
            call.bundle = value
        elif name in ("config", "f") and value is not None:
            call.config = value
        at += 1


def _flag(argument: str) -> tuple[str | None, str | None]:
    """Return (name, value after "=") of a flag; (None, None) for anything else."""
    if not argument.startswith("-") or argument in ("-", "--"):
        return None, None
    name, equals, value = argument.lstrip("-").partition("=")
    return name or None, value if equals else None
