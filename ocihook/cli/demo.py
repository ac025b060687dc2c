# SPDX-License-Identifier: Apache-2.0
"""`bede demo`: see Redis held to a bound in the machine in a box."""

import argparse
import os

from ocihook.errors import InputError
from vmlab import kernels, topology
from vmlab.demo import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose the machine, and how much local memory Redis gets."""
    add = parser.add_argument
    add(
        "--kernel",
        choices=kernels.SOURCES,
        default=os.environ.get("BEDE_KERNEL", kernels.DEFAULT),
        help="default: %(default)s (or BEDE_KERNEL)",
    )
    add(
        "--topology",
        choices=show.possible(),
        default=os.environ.get("BEDE_TOPOLOGY", topology.DEFAULT),
        help="default: %(default)s (or BEDE_TOPOLOGY)",
    )
    add("--bound", metavar="SIZE", default="128M", help="the annotation bede.local (default: 128M)")
    add("--timeout", type=float, metavar="SECONDS", default=300.0, help="boot included (default: 300)")


def run(args: argparse.Namespace) -> int:
    """Run the demonstration. Return 0 if the bound held and every key is still there, else 1."""
    if not args.timeout > 0:
        raise InputError("--timeout is not a number of seconds above 0")
    return show.run(show.Options(args.kernel, args.topology, args.bound, args.timeout))
