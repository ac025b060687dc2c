# SPDX-License-Identifier: Apache-2.0
"""What the programs for Kubernetes have in common: arguments, one line for an error, an exit status."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from ocihook.cluster import quantity, words
from ocihook.errors import EXIT_OUTPUT, BedeError, InputError

_NUDGE = signal.SIGURG  # what nobody else uses, and what ends no program


def parser(program: str, what: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all of them have; *what* they do is in `--help`."""
    made = argparse.ArgumentParser(prog=program, description=what)
    made.add_argument(
        "--kubeconfig",
        metavar="FILE",
        default="",
        help="how to reach the cluster (default: as the pod that this runs in)",
    )
    return made


def add_namespace(made: argparse.ArgumentParser) -> None:
    """Add the option that says where Bede's own objects are."""
    what = "the namespace of Bede's own programs (default: %(default)s)"
    made.add_argument("--namespace", metavar="NAME", default=words.NAMESPACE, help=what)


def share_or_size(text: str) -> Callable[[int], int]:
    """Return what makes bytes of all the bytes there are, by a *text* such as ``10%`` or ``4Gi``.

    Raises InputError.
    """
    if not text.endswith("%"):
        size = quantity.parse(text, "amount")
        return lambda total: min(size, total)
    number = text[:-1]
    if not (number.isascii() and number.isdecimal() and int(number) <= 100):
        raise InputError(f"{text[:40]!a} is no share", "Write a whole number of percent, such as 10%")
    return lambda total: total * int(number) // 100


def _wake_main() -> None:
    """Have the main thread handle each signal at once, whichever thread the kernel gives it to.

    Python handles signals in its main thread, which misses those of other threads while it waits for a lock.
    """
    signal.signal(_NUDGE, lambda number, frame: None)
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    main = threading.get_ident()

    def follow() -> None:
        while True:
            if any(number != _NUDGE for number in os.read(read, 64)):
                signal.pthread_kill(main, _NUDGE)

    threading.Thread(target=follow, name="signals", daemon=True).start()


def checked(program: str, run: Callable[[], None]) -> int:
    """Call *run*, which imports what it needs. Return the exit status; print an error as one line."""

    told = False

    def end(number: int, frame: object) -> NoReturn:
        nonlocal told
        told = True
        raise SystemExit(0)

    def broken(failed: threading.ExceptHookArgs) -> None:
        # A thread's mistake would leave the others at work with what they knew. The cluster starts it again.
        internal = BedeError(f"internal error: {failed.exc_type.__name__}: {failed.exc_value}"[:400])
        print(internal.line(program), file=sys.stderr)
        sys.stderr.flush()
        os._exit(EXIT_OUTPUT)

    signal.signal(signal.SIGTERM, end)
    _wake_main()
    threading.excepthook = broken
    try:
        run()
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        missing = InputError(
            f"the Python package {package} is not installed",
            f"Install it with pip, or as Debian's python3-{package}",
        )
        print(missing.line(program), file=sys.stderr)
        return missing.exit_code
    except BedeError as error:
        print(error.line(program), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if told:
            return 0  # whatever came of that the main thread was interrupted, in a lock perhaps
        internal = BedeError(f"internal error: {type(error).__name__}: {error}"[:400])
        print(internal.line(program), file=sys.stderr)
        return internal.exit_code
    return 0
