# SPDX-License-Identifier: Apache-2.0
"""The one root of Bede's errors, and the exit codes every front door documents.

This module is on the path of every container's start: it imports nothing.
"""

EXIT_OK = 0
EXIT_OUTPUT = 1  #: a file or an output could not be written; also a mistake in Bede itself
EXIT_INPUT = 2  #: an annotation, an argument, a state or a config file is wrong
EXIT_HOST = 3  #: this host cannot hold a bound (no far node, no cgroup v2, not delegated)
EXIT_PERMISSION = 4  #: not root, or a file that root may not touch
EXIT_RUNTIME = 5  #: the real runtime or a bundle is missing or unreadable
EXIT_AGENT = 6  #: the agent cannot be reached, or it has refused
EXIT_CLUSTER = 7  #: the cluster's API server cannot be reached, or it has refused
EXIT_MACHINE = 125  #: `bede vm`: the machine itself was lost (panic, hang, time-out, no boot)


def printable(text: str) -> str:
    """Return *text* with "?" for each unprintable character: others may have chosen a name in it."""
    return "".join(char if char.isprintable() else "?" for char in text)


class BedeError(Exception):
    """Something a user can act on: *message* says what is wrong, *hint* what to do.

    Front doors print ``PROGRAM: message. hint.`` on one line and exit with ``exit_code``.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def line(self, program: str) -> str:
        """Return the one line that a user sees, without a newline inside it."""
        text = f"{program}: {self.message}."
        if self.hint:
            text += f" {self.hint}."
        # Others may have chosen a name in the message, so escape control characters.
        return printable(" ".join(text.split()))


class InputError(BedeError):
    """Bad input: annotation, argument, state JSON or configuration."""

    exit_code = EXIT_INPUT


class MalformedError(InputError):
    """A file of Bede's own no longer holds what Bede wrote; *name* identifies it."""

    def __init__(self, message: str, hint: str, name: str) -> None:
        super().__init__(message, hint)
        self.name = name


class HostError(BedeError):
    """The host cannot hold the bound that was asked for."""

    exit_code = EXIT_HOST


class AccessError(BedeError):
    """Not allowed: not root, or a path that must not be followed."""

    exit_code = EXIT_PERMISSION


class OutputError(BedeError):
    """An output could not be written, such as to a full disk. A wrong name of a file is an InputError."""

    exit_code = EXIT_OUTPUT


class RuntimeMissingError(BedeError):
    """The real OCI runtime, or the bundle that it should start, is missing."""

    exit_code = EXIT_RUNTIME


class AgentError(BedeError):
    """The agent did not answer, or refused."""

    exit_code = EXIT_AGENT


class ClusterError(BedeError):
    """The cluster's API server did not answer, or refused."""

    exit_code = EXIT_CLUSTER


class MachineError(BedeError):
    """The virtual machine was lost; never the failure of the command in it."""

    exit_code = EXIT_MACHINE
