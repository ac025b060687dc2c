# SPDX-License-Identifier: Apache-2.0
"""The process that becomes the command: it waits until it is bound, and reports if exec fails."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
from typing import NoReturn

from ocihook.errors import InputError

_GO = b"!"


class Child:
    """A forked process that does nothing until :meth:`release`, and then becomes *argv* as *user*.

    *user* None: as the current user. Raises OSError, InputError if there is no such user.
    """

    def __init__(self, argv: list[str], user: str | None = None) -> None:
        account = _account(user)
        gate, self._gate = os.pipe2(os.O_CLOEXEC)
        self._report, report = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._gate)
            os.close(self._report)
            _become(argv, account, gate, report)
        os.close(gate)
        os.close(report)

    def release(self) -> OSError | None:
        """Let the process become its command. Return None, or the error if that failed."""
        # the process has ended already, and its status will show that
        with contextlib.suppress(BrokenPipeError):
            os.write(self._gate, _GO)
        os.close(self._gate)
        self._gate = -1
        number = os.read(self._report, 16)
        os.close(self._report)
        self._report = -1
        return OSError(int(number), os.strerror(int(number))) if number else None

    def wait(self) -> int:
        """Wait for the process to end. Return its exit status, or 128 plus the signal that killed it."""
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def cancel(self) -> None:
        """End the process, unless it was released."""
        if self._gate >= 0:
            os.close(self._gate)
            os.close(self._report)
            self._gate = self._report = -1
            self.wait()


def _account(user: str | None) -> pwd.struct_passwd | None:
    if user is None:
        return None
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError, ValueError):
        raise InputError(f"there is no user {user[:80]!r} on this host", "See getent passwd") from None


def _become(argv: list[str], account: pwd.struct_passwd | None, gate: int, report: int) -> NoReturn:
    try:
        if os.read(gate, 1) != _GO:
            os._exit(1)
        # Python ignores these two signals, and the command must not inherit that
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if account is not None:
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            os.environ.update(
                HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name, SHELL=account.pw_shell
            )
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(report, str(error.errno or 1).encode())
    finally:
        os._exit(127)
