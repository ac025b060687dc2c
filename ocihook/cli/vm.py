# SPDX-License-Identifier: Apache-2.0
"""`bede vm`: the two-tier machine in a box."""

import argparse
import re
from dataclasses import replace
from pathlib import Path

from ocihook.cli.parser import Parser
from ocihook.errors import InputError
from vmlab import image, kernel_build, kernels, topology
from vmlab import run as vm_run
from vmlab import shell as vm_shell
from vmlab.model import oracle, profile
from vmlab.model.machine import Wish
from vmlab.progress import Progress

UNITS = {"M": 1, "G": 1024}
#: a package's name by Debian's policy, except for a "-" at the end, which makes apt remove the package
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]")


def mebibytes(text: str) -> int:
    """Return the MiB of a size such as 768M or 2G. Raises ArgumentTypeError."""
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
    what = f"{topology.DEFAULT}, unless a model's profile names another"
    add("--topology", choices=topology.TOPOLOGIES, help=what)
    add("--memory", type=_memory, metavar="SIZE,...", help="one size a node, as 768M,1536M")
    add("--cpus", type=_count, metavar="N", help="as many on each node that has some")
    add("--share", type=Path, metavar="DIR", help="read-only at /share, as it is when the machine starts")
    add("--swap", type=mebibytes, metavar="SIZE", default=0, help="a swap disk")
    add("--bare", action="store_true", help="without Bede in it, as before an installation")
    add("--out", type=Path, metavar="DIR", help="gets what is left in /out")
    what = "further Debian packages in it: an image of its own, made once"
    add("--packages", type=_packages, metavar="NAME,...", default=(), help=what)
    what = "start Kubernetes in it first: one node, kubectl, the class bede; built once"
    add("--cluster", action="store_true", help=what)
    what = "a further argument of QEMU, as in --qemu=-device --qemu=virtio-rng-pci"
    add("--qemu", action="append", metavar="ARG", default=[], help=what)


def _model_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group(
        "the modelled machine",
        "Counts each miss of modelled caches, by memory node, and what it would cost there: an instruction "
        "takes 0.3 ns, a miss that nothing hides the latency of its node; a prefetcher and an out-of-order "
        "CPU hide some. Not modelled: TLB misses, writes back to memory, coherence between CPUs, devices.",
    ).add_argument
    what = f"the profile, one of {', '.join(profile.names())}, or a file that ends with .yaml"
    add("--model", metavar="NAME", help=what)
    add("--report", type=Path, metavar="FILE", help="all counters from mark to mark, as JSON")
    add("--seed", type=_count, metavar="N", default=1, help="of all random numbers that the machine gets; 1")
    add("--misses", type=Path, metavar="FILE", help="the misses by page, once bede-mark --follow was called")
    add("--placement", type=Path, metavar="FILE", help="pages that count as local, wherever they are")


def add_arguments(parser: Parser) -> None:
    """Add the subcommands run, shell, build and kernel."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run_ = actions.add_parser("run", help="run one command in a throw-away machine, and exit as it exits")
    _machine_options(run_)
    run_.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="boot included")
    run_.add_argument(
        "--count-instructions", action="store_true", help="emulate, with a clock of 1 ns an instruction"
    )
    run_.add_argument("--reboots", type=_count, metavar="N", default=0, help="that the command may ask for")
    run_.add_argument("--quiet", action="store_true", help="no progress lines")
    _model_options(run_)
    run_.add_argument(
        "argv", nargs="+", metavar="COMMAND", help="with its options; those of bede go before it"
    )
    run_.runs_command = True
    shell = actions.add_parser("shell", help="a root shell in a throw-away machine")
    _machine_options(shell)
    actions.add_parser("build", help="build the machine's image, unless it is there")
    oracle_ = actions.add_parser("oracle", help="the best placement for a log of misses")
    oracle_.add_argument("misses", type=Path, metavar="FILE", help="from bede vm run --misses")
    oracle_.add_argument("--bound", type=mebibytes, metavar="SIZE", required=True, help="what may be local")
    what = "gets the pages, for bede vm run --placement and bede-mark --place"
    oracle_.add_argument("--placement", type=Path, metavar="FILE", help=what)
    kernel = actions.add_parser("kernel", help="build a kernel, unless it is there")
    kernel.add_argument("verb", choices=("build",))
    kernel.add_argument("name", choices=kernels.RECIPES, metavar="NAME", help=", ".join(kernels.RECIPES))


def _wish(args: argparse.Namespace) -> Wish | None:
    if args.model is not None:
        return Wish(args.model, args.seed, args.report, args.misses, args.placement)
    for name in ("report", "misses", "placement"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name} is of the modelled machine", "Give --model, too")
    return None


def _oracle(args: argparse.Namespace) -> int:
    epochs = oracle.read(args.misses)
    best = oracle.best(epochs, (args.bound << 20) // oracle.PAGE)
    print(f"{best.misses:,} misses in {len(epochs)} epochs; with the best {args.bound} MiB local:")
    print(f"{100 * best.steady:.1f} % local if they never change, {100 * best.chance:.1f} % by chance,")
    print(f"{100 * best.moving:.1f} % if they are chosen anew for each epoch")
    if args.placement is not None:
        oracle.write(best.chosen, len(epochs), args.placement)
    return 0


def run(args: argparse.Namespace) -> int:
    """Run the subcommand. Return its exit status; for `run`, the status of the command in the machine."""
    if args.action == "build":
        print(image.ensure(Progress()))
        return 0
    if args.action == "oracle":
        return _oracle(args)
    if args.action == "kernel":
        print(kernel_build.ensure(args.name, kernels.RECIPES[args.name], Progress()))
        return 0
    wish = _wish(args) if args.action == "run" else None
    options = vm_run.Options(
        argv=getattr(args, "argv", ["bash", "-l"]),
        kernel=args.kernel,
        topology=args.topology or (profile.find(wish.profile).topology if wish else topology.DEFAULT),
        memory=args.memory,
        cpus=args.cpus,
        share=args.share,
        swap=args.swap,
        bare=args.bare,
        out=args.out,
        packages=args.packages,
        cluster=args.cluster,
        model=wish,
        qemu=tuple(args.qemu),
    )
    if args.action == "shell":
        return vm_shell.shell(options)
    given = {"timeout": args.timeout, "quiet": args.quiet, "reboots": args.reboots}
    return vm_run.run(replace(options, count=args.count_instructions, **given))
