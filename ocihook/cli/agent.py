# SPDX-License-Identifier: Apache-2.0
"""`bede agent`: the daemon itself."""

import argparse

DETAILS = """\
Its settings are in /etc/bede/config.yaml. When the agent ends, the containers stay bound, and the next agent
adopts them; --release-all is for a host from which Bede is removed. (A kernel with memory.node_limit holds
bounds without Bede: those stay until their containers end.)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option --release-all."""
    parser.add_argument(
        "--release-all",
        action="store_true",
        help="give every bound container its own memory.high back, forget it, and end (no agent may run)",
    )


def run(args: argparse.Namespace) -> int:
    """Hold the bounds of this host until told to end, or release them all. Return the exit status."""
    from ocihook.agent import main

    return main.release_all() if args.release_all else main.run()
