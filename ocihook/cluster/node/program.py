# SPDX-License-Identifier: Apache-2.0
"""`bede-node`: the program."""

from __future__ import annotations

import argparse
import os

from ocihook.cluster import door
from ocihook.errors import InputError

PROGRAM = "bede-node"
WHAT = "Holds this node's pods to what its NodeLocalMemory says, and reports what they hold."


def parser() -> argparse.ArgumentParser:
    """Return the parser of its arguments."""
    made = door.parser(PROGRAM, WHAT)
    what = "the node's name (default: $NODE_NAME)"
    made.add_argument("--name", metavar="NODE", default=os.environ.get("NODE_NAME", ""), help=what)
    what = (
        "local memory that no bound may use, such as 4Gi or 10%%: what the kernel, daemons, and pods without"
        " a bound need (default: %(default)s)"
    )
    made.add_argument("--reserve", metavar="AMOUNT", default="10%", help=what)
    return made


def main(argv: list[str] | None = None) -> int:
    """Run the program. Return its exit status."""
    args = parser().parse_args(argv)

    def run() -> None:
        from ocihook.cluster.api import connect
        from ocihook.cluster.node.main import Node

        if not args.name:
            raise InputError("no node is named", "Give --name, or set NODE_NAME")
        reserve = door.share_or_size(args.reserve)
        Node(connect(args.kubeconfig), args.name, reserve).run()

    return door.checked(PROGRAM, run)
