# SPDX-License-Identifier: Apache-2.0
"""`bede vm`: the two-tier machine in a box."""

import argparse
import re
from dataclasses import replace
from pathlib import Path

from ocihook.cli.parser import Parser
from vmlab import image, kernel_build, kernels, topology
from vmlab import run as vm_run
from vmlab import shell as vm_shell
from vmlab.progress import Progress

UNITS = {"M": 1, "G": 1024}
#: a package's name by Debian's policy, except for a "-" at the end, which makes apt remove the package
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]")


def mebibytes(text: str) -> int:
    """A size such as 768M or 2G, in MiB."""
    number, unit = text[:-1], text[-1:].upper()
    if unit not in UNITS or not number.isdecimal() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 768M or 2G")
    return int(number) * UNITS[unit]


def _memory(text: str) -> list[int]:
    return [mebibytes(part) for part in text.split(",")]


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise ValueError
    return value


def _packages(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if not PACKAGE.fullmatch(name):
            raise argparse.ArgumentTypeError(f"{name[:40]!r} is no name of a Debian package such as numactl")
    return names


def _machine_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--kernel", choices=kernels.SOURCES, default=kernels.DEFAULT)
    add("--topology", choices=topology.TOPOLOGIES, default=topology.DEFAULT)
    add("--memory", type=_memory, metavar="SIZE,...", help="one size a node, as 768M,1536M")
    add("--cpus", type=_count, metavar="N", help="as many on each node that has some")
    add("--share", type=Path, metavar="DIR", help="read-only at /share, as it is when the machine starts")
    add("--swap", type=mebibytes, metavar="SIZE", default=0, help="a swap disk")
    add("--bare", action="store_true", help="without Bede in it, as before an installation")
    add("--out", type=Path, metavar="DIR", help="gets what is left in /out")
    what = "further Debian packages in it: an image of its own, made once"
    add("--packages", type=_packages, metavar="NAME,...", default=(), help=what)


def add_arguments(parser: Parser) -> None:
    """`bede vm run|shell|build|kernel`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run_ = actions.add_parser("run", help="run one command in a throw-away machine, and exit as it exits")
    _machine_options(run_)
    run_.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="boot included")
    run_.add_argument(
        "--count-instructions", action="store_true", help="emulate, with a clock of 1 ns an instruction"
    )
    run_.add_argument("--reboots", type=_count, metavar="N", default=0, help="that the command may ask for")
    run_.add_argument("--quiet", action="store_true", help="no progress lines")
    run_.add_argument(
        "argv", nargs="+", metavar="COMMAND", help="with its options; those of bede go before it"
    )
    run_.runs_command = True
    shell = actions.add_parser("shell", help="a root shell in a throw-away machine")
    _machine_options(shell)
    actions.add_parser("build", help="build the machine's image, unless it is there")
    kernel = actions.add_parser("kernel", help="build a kernel, unless it is there")
    kernel.add_argument("verb", choices=("build",))
    kernel.add_argument("name", choices=kernels.RECIPES, metavar="NAME", help=", ".join(kernels.RECIPES))


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; `run` returns the command's status."""
    if args.action == "build":
        print(image.ensure(Progress()))
        return 0
    if args.action == "kernel":
        print(kernel_build.ensure(args.name, kernels.RECIPES[args.name], Progress()))
        return 0
    options = vm_run.Options(
        argv=getattr(args, "argv", ["bash", "-l"]),
        kernel=args.kernel,
        topology=args.topology,
        memory=args.memory,
        cpus=args.cpus,
        share=args.share,
        swap=args.swap,
        bare=args.bare,
        out=args.out,
        packages=args.packages,
    )
    if args.action == "shell":
        return vm_shell.shell(options)
    given = {"timeout": args.timeout, "quiet": args.quiet, "reboots": args.reboots}
    return vm_run.run(replace(options, count=args.count_instructions, **given))
