"""`bede ps`: the bound containers of this host."""

import argparse
import json
import sys
from typing import Any

from ocihook.agent import client
from ocihook.cli import limited
from ocihook.errors import AccessError, AgentError
from ocihook.spec.size import format_size

COLUMNS = ("CONTAINER", "BOUND", "LOCAL", "FAR", "OVERSHOOT", "BACKEND", "RUNTIME")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How to print."""
    parser.add_argument("--json", action="store_true", help="a JSON list, sizes in bytes")


def run(args: argparse.Namespace) -> int:
    """Print what the agent holds, and what the kernel holds by itself."""
    containers = [*_held(), *limited.listing()] if limited.is_kernel() else _ask()
    if args.json:
        print(json.dumps(containers, indent=2))
        return 0
    rows = [COLUMNS]
    for one in containers:
        overshoot = f"{100 * one['overshoot'] / one['bound']:.1f} %" if one["overshoot"] else "none"
        sizes = [mebibytes(one[name]) for name in ("bound", "local", "far")]
        rows.append((one["id"][:12], *sizes, overshoot, one["backend"], one["runtime"] or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def mebibytes(size: int) -> str:
    """A size for people: exact where it is round, else to a tenth of a MiB."""
    exact = format_size(size)
    return exact if len(exact) <= 6 else f"{size / 2**20:.1f}M"


def _ask() -> list[dict[str, Any]]:
    containers: list[dict[str, Any]] = client.ask({"op": "ps"})["containers"]
    return containers


def _held() -> list[dict[str, Any]]:
    """What the agent holds on a kernel that needs none: it is asked only where there are records."""
    try:
        if not limited.any_held():
            return []
        return _ask()
    except AccessError:
        return []  # records are root's, limits are everybody's to read
    except AgentError as error:
        print(error.line("bede"), file=sys.stderr)
        return []
