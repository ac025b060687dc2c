# SPDX-License-Identifier: Apache-2.0
"""`bede explain CONTAINER`: why its bound is what it is."""

import argparse
import json
import textwrap

from ocihook.cgroup import names
from ocihook.cli import terminal
from ocihook.errors import printable
from ocihook.watch import containers, explain

DETAILS = """\
It shows what was asked for, what is in force and by which of the kernel's files, who set that, what hinders
it, and what would be different with another backend. --json has the same facts.

examples:
  bede explain web
  bede explain --json 4f1c | jq -r '.facts["in force"]'
"""
_INDENT = 14


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the container."""
    parser.add_argument("container", metavar="CONTAINER", help="its name, id, or cgroup")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the facts about the container's bound. Return the exit status."""
    container = containers.find(args.container)
    facts = explain.explain(container)
    if args.json:
        print(
            json.dumps(
                {"container": container.as_json(), "facts": {fact.about: fact.text for fact in facts}},
                indent=2,
            )
        )
        return 0
    print(
        terminal.painted(container.name or names.short(container.id), terminal.BOLD),
        f"({printable(container.cgroup)})",
    )
    for fact in facts:
        first, *rest = textwrap.wrap(printable(fact.text), max(terminal.width() - _INDENT, 20)) or [""]
        print(f"{fact.about:{_INDENT - 1}} {first}")
        for line in rest:
            print(" " * _INDENT + line)
    return 0
