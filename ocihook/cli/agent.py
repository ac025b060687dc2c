# SPDX-License-Identifier: Apache-2.0
"""`bede agent`: the daemon itself."""

import argparse

DETAILS = """\
What there is to say to it stands in /etc/bede/config.yaml. When it ends the containers stay bound, and the
next one adopts them; --release-all is for a host that Bede is taken from. (A kernel with memory.node_limit
holds its bounds without Bede: those stay until their containers end.)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do in place of holding."""
    parser.add_argument(
        "--release-all",
        action="store_true",
        help="give every bound container its own memory.high back, forget it, and end (no agent may run)",
    )


def run(args: argparse.Namespace) -> int:
    """Hold bounds until told to end."""
    from ocihook.agent import main

    return main.release_all() if args.release_all else main.run()
