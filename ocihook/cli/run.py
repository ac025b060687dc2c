# SPDX-License-Identifier: Apache-2.0
"""`bede run --local SIZE COMMAND`: a program under a bound, without a container."""

import argparse
import os
import sys

from ocihook.cli.parser import Parser
from ocihook.launch import bound
from ocihook.spec import annotation

DETAILS = """\
The command gets its own cgroup (a transient scope, if systemd is init), and its children count against the
same bound. `bede ps`, `bede set`, `bede top` and other commands know it by its --name. Processes that the
command leaves running stay bound. All words after COMMAND belong to the command; write -- before a COMMAND
that begins with a dash.

The exit status is the command's; 126 if it cannot be run, 127 if it is not found, else that of `bede --help`.

examples:
  sudo bede run --local 2G redis-server --save ''
  sudo bede run --local 512M --user "$USER" --name study -- ./benchmark
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments for the bound, and for the command."""
    add = parser.add_argument
    local = "the bound: 2G, 512M (as in the annotation bede.local, but not a share of a memory limit)"
    add("--local", required=True, metavar="SIZE", help=local)
    add("--name", metavar="NAME", help="what bede ps calls it (default: run-PID)")
    add("--user", metavar="USER", help="run it as this user (default: as root)")
    words = "the command to run, followed by its own options; options of bede run go before it"
    add("argv", nargs="+", metavar="COMMAND", help=words)
    parser.runs_command = True


def run(args: argparse.Namespace) -> int:
    """Run the command under its bound. Return the command's exit status."""
    bede = os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), "bede")
    job = bound.Job(args.argv, {annotation.LOCAL: args.local}, args.name, args.user, bede)
    return bound.run(job)
