# SPDX-License-Identifier: Apache-2.0
"""Limits how long a hook may take.

The hook does this itself, because crun's own time-out of hooks is unreliable (docs/architecture.md).
"""

import _signal  # type: ignore[import-not-found]

from ocihook.errors import HostError

SECONDS = 30  #: seconds that one stage of the hook may take


def begin() -> None:
    """Make this thread raise HostError after SECONDS, whatever it does then, unless :func:`end` is called."""
    _signal.signal(_signal.SIGALRM, _too_late)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {_signal.SIGALRM})  # crun blocks all signals for a hook
    _signal.alarm(SECONDS)


def end() -> None:
    """Cancel the time-out: the hook has finished in time."""
    _signal.alarm(0)


def _too_late(number: int, frame: object) -> None:
    raise HostError(
        f"the hook did not finish within {SECONDS} s",
        "Find out what delays this host, and start the container again",
    )
