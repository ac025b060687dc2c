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
OWN = "OWN"  #: a column after LOCAL, if any container has such memory
DETAILS = """\
  CONTAINER  its id, only the beginning of a generated one: `bede set` and other commands take both
  NAME       its current name in its engine, in Kubernetes NAMESPACE/POD/CONTAINER; "-" if it has none,
             such as containers of runc, crun and ctr
  OVERSHOOT  how far local usage was above the bound in force at that moment: the most since this agent began
             to hold the container. What exceeds a bound in the first 5 s after it was lowered is shown, but
             not remembered. With node_limit: how far local usage is above the bound now
  OUTSIDE    processes that had left the container's cgroup and were put back, and what they charged elsewhere
  OWN        local memory that programs have placed by policies of their own (numactl, mbind): it stays there.
             Shown only if there is any, and if the agent moves pages
  BACKEND    what holds the bound: {backends}; "not steered": its pages can only be moved
""".format(backends=", ".join(choose.NAMES))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to print."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON list, sizes in bytes")
    form.add_argument(
        "--names", action="store_true", help="print only the containers' names and ids, one a line"
    )


def run(args: argparse.Namespace) -> int:
    """Print the containers that the agent or the kernel holds. Return the exit status."""
    found = containers.listing()
    if args.json:
        print(json.dumps([container.as_json() for container in found], indent=2))
        return 0
    ids = naming.ids(found)
    if args.names:
        # Print each word once: a name may be the same as the id, or used by two engines.
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
        # The agent counts the mapped memory of a container's processes, some of which may be charged to other
        # containers. What is charged to this container is at most its local usage.
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
    """Cut ids and names if a line would be longer than *room* columns."""
    over = sum(_widths(rows)) + 2 * (len(rows[0]) - 1) - room if room is not None else 0
    if over > 0:
        columns = naming.narrowed([[row[at] for row in rows[1:]] for at in (0, 1)], over)
        for row, *words in zip(rows[1:], *columns, strict=True):
            row[:2] = words


def mebibytes(size: int) -> str:
    """Return *size* bytes for people to read: exactly if it is round, else to a tenth of a MiB."""
    exact = format_size(size)
    return exact if len(exact) <= 6 and exact[-1] in "MGT" else f"{size / 2**20:.1f}M"


def _program_bound(container: Status) -> str:
    size = min(container.program_bound, container.local)
    return mebibytes(size) if container.program_bound else "-"


def _outside(seen: Outside | None) -> str:
    """Return how many processes were outside the container's cgroup, and how much stays charged elsewhere."""
    if seen is None:
        return "-"  # no agent follows the container's processes
    if not seen.returned and not seen.failed:
        return "none"
    failed = f", {seen.failed} not back" if seen.failed else ""
    return f"{seen.returned} ({mebibytes(seen.bytes)}){failed}"
