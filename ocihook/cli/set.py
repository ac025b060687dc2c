"""`bede set CONTAINER SIZE`: another bound for a container that runs."""

import argparse

from ocihook.agent import client
from ocihook.cli import limited
from ocihook.errors import InputError
from ocihook.spec.size import format_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which container, and the bound."""
    parser.add_argument("container", metavar="CONTAINER", help="its id, or the beginning of it")
    parser.add_argument("size", metavar="SIZE", help="as bede.local: 2G, 512M, or 25%% of the memory limit")


def run(args: argparse.Namespace) -> int:
    """Tell the kernel, or ask the agent; the bound is in force when this returns."""
    status = None
    if limited.is_kernel():
        status = limited.change(args.container, args.size)
        if status is None and not limited.any_held():
            raise InputError(f"no bound container is called {args.container!r}", "`bede ps` shows them all")
    if status is None:
        status = client.ask({"op": "set", "container": args.container, "bound": args.size})["container"]
    print(f"{status['id'][:12]}: bound {format_size(status['bound'])}")
    return 0
