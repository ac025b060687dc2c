# SPDX-License-Identifier: Apache-2.0
"""`bede stats`: prints what bound containers hold and do."""

import argparse
import json
import time

from ocihook.cli import terminal
from ocihook.watch import roster, table
from ocihook.watch.roster import Roster
from ocihook.watch.snapshot import Row, Snapshots

DETAILS = """\
Without a name: all bound containers; with --follow also those that come later. A container is named as in
`bede set`: its name, its id or the beginning of it, or the path of its cgroup.

  %           local usage as per cent of the bound
  DEMOTED/s   bytes a second that went to the far nodes, over the last interval: by the kernel (memory.stat:
              pgdemote_*), and by the agent where it exchanges or moves pages
  PROMOTED/s  bytes a second that came back: by NUMA balancing (numa_pages_migrated, pgpromote_success), and
              by the agent
  HITS        per cent of the memory in use that is local, by how often it is used, and after the slash what
              could be under the bound; only where the agent looks for what is hot
  PRESSURE    per cent of the last 10 s in which some task waited for memory (memory.pressure)
  EVENTS      since the container's start, the worst first: processes killed for lack of memory, stalls
              (nothing could be demoted), times that memory.max was reached, bytes over a limit of the
              kernel, and times that memory.high, which is Bede's fence, was exceeded

"-" is for what this kernel does not count, and for a container without a name (of runc, crun or ctr).
If the terminal is too narrow for ids and names, their beginnings and ends are shown.

--json has all of it in bytes, and null for what is not counted: a list, or with --follow an object a line.
--csv has the same as columns, and one header.

examples:
  sudo bede stats
  sudo bede stats web --follow
  sudo bede stats --follow --interval 0.2 --csv > usage.csv
  sudo bede stats --json | jq '.[] | select(.local > .bound) | .name'
"""
LEAST = 0.01  #: seconds: the shortest interval


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what to look at, how often, and how to print it."""
    parser.add_argument("containers", nargs="*", metavar="CONTAINER", help="only these (default: all)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="JSON, sizes in bytes")
    form.add_argument("--csv", action="store_true", help="CSV, sizes in bytes")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="print again after each interval, until interrupted"
    )
    parser.add_argument(
        "--interval",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="time between two measurements (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Print once, or with --follow until interrupted or the containers have ended. Return the exit status."""
    roster.check(args.interval, LEAST)
    try:
        with Roster(args.containers) as found, Snapshots(found) as snapshots:
            _print(args, found, snapshots)
    except KeyboardInterrupt:
        if not args.follow:
            raise
    return 0


def _print(args: argparse.Namespace, found: Roster, snapshots: Snapshots) -> None:
    widths: dict[str, int] = {}
    first = True
    if args.csv:
        print(",".join(table.CSV), flush=True)
    snapshots.take()  # rates need an earlier snapshot
    due = time.monotonic()
    while True:
        due = max(due + args.interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        rows = snapshots.take()
        _show(args, rows, widths, first)
        first = False
        if not args.follow or (found.named is not None and not rows and not found.error):
            return


def _show(args: argparse.Namespace, rows: list[Row], widths: dict[str, int], first: bool) -> None:
    if args.json and not args.follow:
        print(json.dumps([table.record(row) for row in rows], indent=2))
    elif args.json:
        print("".join(json.dumps(table.record(row)) + "\n" for row in rows), end="", flush=True)
    elif args.csv:
        records = (table.record(row) for row in rows)
        text = "".join(table.csv_line([one[name] for name in table.CSV]) for one in records)
        print(text, end="", flush=True)
    else:
        before = dict(widths)
        head, *rest = table.lines(rows, widths, terminal.room())
        # Repeat the head only if a column has become wider, or if there are several lines each time.
        if first or widths != before or len(rows) > 1:
            rest.insert(0, terminal.painted(head, terminal.BOLD))
        print("\n".join(rest), flush=True)
