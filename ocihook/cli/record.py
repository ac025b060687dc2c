# SPDX-License-Identifier: Apache-2.0
"""`bede record`: writes what bound containers hold and do into a file, at short intervals."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType

from ocihook.cli import output, terminal
from ocihook.errors import InputError, printable
from ocihook.watch import naming, recording, roster
from ocihook.watch.roster import Roster
from ocihook.watch.snapshot import Snapshots

DETAILS = (
    """\
Without a name: all bound containers, also those that start later, until interrupted. With names: until these
containers have ended. After one header, there is a line for each container and instant, with sizes in bytes:

"""
    + "\n".join(f"  {name:10} {what}" for name, what in recording.COLUMNS.items())
    + """

A field is empty if this kernel does not count it. Each time the kernel's own files are read, without the
agent: intervals of 10 ms are possible. A changed bound, and a new container, is seen within a second (a bound
that the kernel holds: at once). `bede plot` draws the file.

At the end a line on standard error says how many rows there are; on a terminal, a line at the start says what
is recorded. A full disk ends the recording with exit status 1; all its lines are complete.

examples:
  sudo bede record -o run.csv
  sudo bede record web db -o run.csv --interval 0.01 --seconds 60
  sudo bede record -o - | awk -F, '$6 > $5'
"""
)
LEAST = 0.01  #: seconds: the shortest interval
_MOST = 8  # the line at the start names at most so many containers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what to record, where to, how often and how long."""
    add = parser.add_argument
    add("containers", nargs="*", metavar="CONTAINER", help="only these (default: all)")
    add("-o", "--output", required=True, metavar="FILE", help="the CSV to write; - is standard output")
    add("--force", action="store_true", help="replace FILE if it is there")
    add(
        "--interval",
        type=float,
        default=0.1,
        metavar="SECONDS",
        help="time between two measurements (default: 0.1)",
    )
    add("--seconds", type=float, metavar="N", help="stop after N seconds")
    add("-q", "--quiet", action="store_true", help="do not print the lines at the start and at the end")


def run(args: argparse.Namespace) -> int:
    """Record until interrupted, the time is over, or the containers have ended. Return the exit status."""
    roster.check(args.interval, LEAST)
    if args.seconds is not None and not args.seconds > 0:
        raise InputError(f"the duration {args.seconds:g} s is out of range", "Give --seconds more than 0")
    with Roster(args.containers) as found, _output(args.output, args.force) as lines, _stopping() as stopped:
        if not args.quiet and terminal.is_terminal(sys.stderr):
            _say(_begun(args, found))
        start = time.monotonic()
        seen = _record(args, found, lines, stopped)
        seconds = time.monotonic() - start
    if not args.quiet:
        what = f"{_count(lines.count - 1, 'row')} of {_count(seen, 'container')}"
        _say(f"recorded {what} in {seconds:.1f} s: {_where(args)}")
    return 0


def _record(args: argparse.Namespace, found: Roster, lines: output.Lines, stopped: list[int]) -> int:
    """Write lines until the recording must end. Return how many containers were seen."""
    seen: set[tuple[str, str]] = set()
    _write(args, lines, recording.HEADER + "\n")
    start = due = time.monotonic()
    end = start + args.seconds if args.seconds else float("inf")
    with Snapshots(found) as snapshots:
        while not stopped and due < end:
            rows = snapshots.take()
            seen.update((row.container.id, row.container.cgroup) for row in rows)
            # Write all lines of an instant at once, so that a reader sees only complete lines.
            _write(args, lines, "".join(recording.line(row, start) for row in rows))
            if found.named is not None and not rows and not found.error:
                break
            # Skip missed instants, so that lines stay at multiples of the interval, each at most once.
            late = time.monotonic() - due
            due += args.interval * max(1, -(-late // args.interval))
            time.sleep(max(0.0, min(due, end) - time.monotonic()))
    return len(seen)


def _write(args: argparse.Namespace, lines: output.Lines, text: str) -> None:
    try:
        lines.write(text)
    except BrokenPipeError:
        raise  # whoever reads standard output has gone
    except OSError as error:
        left = f"{_count(max(lines.count - 1, 0), 'whole row')} of the recording are there"
        raise output.failed(_where(args), error, left) from None


def _begun(args: argparse.Namespace, found: Roster) -> str:
    """Return the line that is printed at the start: what is recorded from now on."""
    titles = naming.titles(found.found)
    who = ", ".join(titles[:_MOST]) + (f" and {len(titles) - _MOST} more" if len(titles) > _MOST else "")
    if found.named is None:
        who = f"{who}, and what comes" if who else "what comes: no bound container runs"
    ends = "until Ctrl-C" if found.named is None else "until they have ended, or Ctrl-C"
    long = f" for {args.seconds:g} s" if args.seconds else f", {ends}"
    return f"recording {who} every {args.interval:g} s{long}: {_where(args)}"


def _where(args: argparse.Namespace) -> str:
    return str(args.output) if args.output != "-" else output.STANDARD


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # a message that cannot be printed must not end the recording
        print(f"bede: {printable(text)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _output(name: str, force: bool) -> Iterator[output.Lines]:
    """Open the file *name* ("-": standard output) for the recording, and close it at the end.

    *force* overwrites a file that exists. Raises BedeError.
    """
    if name == "-":
        if sys.__stdout__ is None:
            raise InputError("standard output is closed", "Give -o the name of a file")
        yield output.Lines(sys.stdout.fileno())
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
    try:
        fd = os.open(name, flags, 0o644)
    except FileExistsError:
        raise InputError(f"{name} is there already", "Give another name, or --force") from None
    except OSError as error:
        raise output.failed(name, error) from None
    try:
        yield output.Lines(fd)
    finally:
        try:
            os.close(fd)
        # a network file system may report a failed write only when the file is closed
        except OSError as error:
            raise output.failed(name, error) from None


@contextlib.contextmanager
def _stopping() -> Iterator[list[int]]:
    """Receive the signals that end a recording, and put the old handlers back at the end.

    The list gets each received signal, so that the recording can end after a complete line.
    """
    came: list[int] = []

    def take(number: int, frame: FrameType | None) -> None:
        came.append(number)

    with contextlib.ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, take))
        yield came
