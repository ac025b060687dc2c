# SPDX-License-Identifier: Apache-2.0
"""`bede set CONTAINER SIZE`: another bound for a container that runs."""

import argparse
import sys

from ocihook.backends import choose
from ocihook.cgroup import names
from ocihook.errors import InputError
from ocihook.spec.size import format_size
from ocihook.watch import containers

DETAILS = """\
CONTAINER is the container's name in its engine (in Kubernetes NAMESPACE/POD/CONTAINER), its id or the
beginning of it, or the path of its cgroup from the cgroup root. The bound is in force when the command
returns; memory above a lower one is demoted within a second or so (on a patched kernel before the command
returns). The bound max is all local memory of the host; default is the bound that CONTAINER's annotations
ask for.

A container of Podman or Docker keeps the bound when it is restarted, until it is removed or the host reboots.
Any other container has the bound of its annotations again after a restart: Kubernetes makes a new one.

examples:
  bede set web 1G
  bede set 4f1c 512M
  bede set web max
  bede set web default
  bede set /system.slice/docker-4f1c….scope 25%
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the container and the bound."""
    parser.add_argument("container", metavar="CONTAINER", help="its name, id, or cgroup")
    what = "as bede.local: 2G, 512M, or 25%% of the memory limit; or max, or default"
    parser.add_argument("size", metavar="SIZE", help=what)


def run(args: argparse.Namespace) -> int:
    """Change the kernel's limits, or ask the agent to change the bound. Return the exit status.

    The bound is in force when this returns.
    """
    container = containers.find(args.container)
    change = choose.named(container.backend).set_bound(container, args.size)
    name = container.name or names.short(container.id)
    if not change.lasts:
        is_pods = names.is_of_pod(container.id, container.cgroup)
        why, what = "it begins with its own bound again when it is restarted, since it is a user's", "its"
        if is_pods:
            why = "it gets its own bound again: at once where bede-node runs, else when it is made anew"
            what = "its pod's"
        print(InputError(why, f"Change {what} annotation, too").line("bede"), file=sys.stderr)
    print(f"{name}: bound {format_size(change.status.bound)}")
    if change.useless:
        warning = InputError(f"container {name}: {change.useless}", "Ask for less than that")
        print(warning.line("bede"), file=sys.stderr)
    return 0
