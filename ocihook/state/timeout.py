# SPDX-License-Identifier: Apache-2.0
"""How long a hook may take.

Not left to the runtime: crun's time-out of hooks is not to be relied on (docs/architecture.md).
"""

import _signal  # type: ignore[import-not-found]

from ocihook.errors import HostError

SECONDS = 30  #: for one stage


def begin() -> None:
    """Raise HostError in this thread, whatever it does, after SECONDS; until :func:`end`."""
    _signal.signal(_signal.SIGALRM, _too_late)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {_signal.SIGALRM})  # crun blocks all signals for a hook
    _signal.alarm(SECONDS)


def end() -> None:
    """It has been done in time."""
    _signal.alarm(0)


def _too_late(number: int, frame: object) -> None:
    raise HostError(f"not done after {SECONDS} s", "Look for what the host waits for, and start it again")
