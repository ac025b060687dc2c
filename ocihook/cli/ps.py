# SPDX-License-Identifier: Apache-2.0
"""`bede ps`: the bound containers of this host."""

import argparse
import json
from collections.abc import Iterator

from ocihook.backends import choose
from ocihook.cli import terminal
from ocihook.control.status import Outside, Status
from ocihook.errors import printable
from ocihook.spec.size import format_size
from ocihook.watch import containers, naming

COLUMNS = ("CONTAINER", "NAME", "BOUND", "LOCAL", "FAR", "OVERSHOOT", "OUTSIDE", "BACKEND", "RUNTIME")
OWN = "OWN"  #: behind LOCAL, where there is any
DETAILS = """\
  CONTAINER  its id, of generated ones the beginning: `bede set` and the others take either
  NAME       what its engine calls it now; "-" where none does, as of what runc, crun and ctr start
  OVERSHOOT  the most that local usage was above the bound of its moment while this agent has held it, or is
             now. What is above a bound that was just lowered is shown, but not kept in mind for 5 s.
             node_limit: is now
  OUTSIDE    processes that had left the container's cgroup and were put back, and what they charged elsewhere
  OWN        local memory that programs have placed by policies of their own (numactl, mbind): it stays there.
             Only where there is such, and pages are moved by the agent
  BACKEND    what holds the bound: node_limit, tier or migrate; "not steered": its pages can only be moved
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How to print."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON list, sizes in bytes")
    form.add_argument("--names", action="store_true", help="only what each can be called, a line each")


def run(args: argparse.Namespace) -> int:
    """Print what the agent holds, and what the kernel holds by itself."""
    found = containers.listing()
    if args.json:
        print(json.dumps([container.as_json() for container in found], indent=2))
        return 0
    ids = naming.ids(found)
    if args.names:
        # Each once: of an id that a person chose, and of a name that two engines use.
        print("".join(f"{word}\n" for word in dict.fromkeys(_words(found, ids))), end="")
        return 0
    rows: list[list[str]] = [list(COLUMNS)]
    for container, id in zip(found, ids, strict=True):
        overshoot = mebibytes(container.overshoot) if container.overshoot else "none"
        sizes = [mebibytes(size) for size in (container.bound, container.local, container.far)]
        backend = choose.named(container.backend).label(container)
        rest = (_outside(container.outside), backend, container.runtime or "-")
        rows.append([id, container.name or "-", *sizes, overshoot, *rest])
    if any(container.program_bound for container in found):
        # What is mapped may be charged to others; of the container's own it is no more than is local.
        own = [OWN, *(_program_bound(container) for container in found)]
        rows = [[*row[:4], cell, *row[4:]] for row, cell in zip(rows, own, strict=True)]
    _narrow(rows, terminal.room())
    widths = _widths(rows)
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _words(found: list[Status], ids: list[str]) -> Iterator[str]:
    for container, id in zip(found, ids, strict=True):
        yield from (word for word in (printable(container.name), id) if word)


def _widths(rows: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _narrow(rows: list[list[str]], room: int | None) -> None:
    """Cut ids and names where a line would be longer than *room*."""
    over = sum(_widths(rows)) + 2 * (len(rows[0]) - 1) - room if room is not None else 0
    if over > 0:
        columns = naming.narrowed([[row[at] for row in rows[1:]] for at in (0, 1)], over)
        for row, *words in zip(rows[1:], *columns, strict=True):
            row[:2] = words


def mebibytes(size: int) -> str:
    """A size for people: exact where it is round, else to a tenth of a MiB."""
    exact = format_size(size)
    return exact if len(exact) <= 6 and exact[-1] in "MGT" else f"{size / 2**20:.1f}M"


def _program_bound(container: Status) -> str:
    size = min(container.program_bound, container.local)
    return mebibytes(size) if container.program_bound else "-"


def _outside(seen: Outside | None) -> str:
    """How many processes have been outside the container's cgroup, and what of them stays charged there."""
    if seen is None:
        return "-"  # no agent follows it
    if not seen.returned and not seen.failed:
        return "none"
    failed = f", {seen.failed} not back" if seen.failed else ""
    return f"{seen.returned} ({mebibytes(seen.bytes)}){failed}"
