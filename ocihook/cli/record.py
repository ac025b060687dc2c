"""`bede record`: what bound containers hold and do, into a file, often."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

from ocihook.errors import AccessError, InputError
from ocihook.watch import recording, roster
from ocihook.watch.look import Looker
from ocihook.watch.roster import Roster

DETAILS = (
    """\
Without a name: all bound containers, also those that come later, until interrupted. With names: until these
containers have ended. A line a container and instant, sizes in bytes, after one header:

"""
    + "\n".join(f"  {name:10} {what}" for name, what in recording.COLUMNS.items())
    + """

An empty field is what this kernel does not count. The kernel's own files are read at each look, not the
agent: 10 ms between looks are possible. A bound that changes, and a container that comes, is seen within a
second (a bound that the kernel holds: at once). `bede plot` draws it.

examples:
  sudo bede record -o run.csv
  sudo bede record web db -o run.csv --interval 0.01 --seconds 60
  sudo bede record -o - | awk -F, '$6 > $5'
"""
)
LEAST = 0.01  #: seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to record, where to, how often and how long."""
    add = parser.add_argument
    add("containers", nargs="*", metavar="CONTAINER", help="only these (default: all)")
    add("-o", "--output", required=True, metavar="FILE", help="the CSV to write; - is standard output")
    add("--force", action="store_true", help="replace FILE if it is there")
    add("--interval", type=float, default=0.1, metavar="SECONDS", help="between two looks (default: 0.1)")
    add("--seconds", type=float, metavar="N", help="end after that long")


def run(args: argparse.Namespace) -> int:
    """Record until interrupted, the time is over, or the containers have ended."""
    roster.check(args.interval, LEAST)
    if args.seconds is not None and not args.seconds > 0:
        raise InputError(f"a recording of {args.seconds:g} s cannot be", "Give --seconds more than 0")
    with Roster(args.containers) as found, _output(args.output, args.force) as fd, _stopping() as stopped:
        _record(args, found, fd, stopped)
    return 0


def _record(args: argparse.Namespace, found: Roster, fd: int, stopped: list[int]) -> None:
    _write(fd, recording.HEADER + "\n")
    start = due = time.monotonic()
    end = start + args.seconds if args.seconds else float("inf")
    with Looker(found) as looker:
        while not stopped and due < end:
            rows = looker.look()
            # All of an instant in one write: whoever reads meanwhile sees whole lines.
            _write(fd, "".join(recording.line(row, start) for row in rows))
            if found.named is not None and not rows and not found.error:
                return
            # What was missed stays missed: lines keep to the beat, and none comes twice.
            late = time.monotonic() - due
            due += args.interval * max(1, -(-late // args.interval))
            time.sleep(max(0.0, min(due, end) - time.monotonic()))


def _write(fd: int, text: str) -> None:
    data = text.encode("utf-8", "replace")
    while data:
        data = data[os.write(fd, data) :]


@contextlib.contextmanager
def _output(name: str, force: bool) -> Iterator[int]:
    """A descriptor to write to. Raises InputError, AccessError."""
    if name == "-":
        yield sys.stdout.fileno()
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
    try:
        fd = os.open(name, flags, 0o644)
    except FileExistsError:
        raise InputError(f"{name} is there already", "Give another name, or --force") from None
    except PermissionError:
        raise AccessError(f"{name} may not be written") from None
    except OSError as error:
        raise InputError(f"{name} cannot be written: {error.strerror}") from None
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _stopping() -> Iterator[list[int]]:
    """The signals that have come of those that end a recording: after a whole line, and well."""
    came: list[int] = []

    def take(number: int, frame: FrameType | None) -> None:
        came.append(number)

    with contextlib.ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, take))
        yield came
