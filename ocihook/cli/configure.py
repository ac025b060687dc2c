# SPDX-License-Identifier: Apache-2.0
"""`bede configure ENGINE`: an engine's files, so that annotations of its containers reach Bede."""

import argparse
import importlib
import os
import sys
from types import ModuleType

from ocihook.engines import edits, engine, programs, real
from ocihook.engines.edits import Plan
from ocihook.errors import AccessError, RuntimeMissingError

DETAILS = """\
Files that are written, all atomically, with their mode and owner kept:
  podman      /etc/containers/oci/hooks.d/bede-*.json, and for Podman to look there
              /etc/containers/containers.conf.d/bede.conf; nothing where a package has put the hooks into
              /usr/share/containers/oci/hooks.d. As another user than root, the same in ~/.config/containers.
  docker      the runtime bede in /etc/docker/daemon.json, which is left as it is but for that
  containerd  the runtime class bede, in /etc/containerd/conf.d/bede.toml where config.toml imports that;
              else, and where files of version 2 have settings of the CRI plugin, at the end of config.toml
  crio        the runtime handler bede in /etc/crio/crio.conf.d/99-bede.conf
  and where an engine's runtime is to go behind bede-runtime, the script /etc/bede/bede-runtime-ENGINE

What a file was before a change is kept beside it as NAME.bede-YYYYMMDDHHMMSS, of a directory *.d beside that:
the last three times. Nothing is kept of what does not change, or is Bede's alone.
Where dockerd or containerd can say so, a new file is what they accept, and no setting of containerd is lost.
The engine takes notice when it is told to: the command for that is the last line. A second run does nothing.

The engine's default runtime goes behind bede-runtime, so that a container under bede keeps what it does: a
second wrapper (NVIDIA's), or a runc or crun of the engine's own. --real puts another of the engine's runtimes
there, and a second run keeps that. Podman needs none of it: it calls Bede's hooks, whatever its runtime is.

--set-default makes bede the default runtime: then an annotation alone is enough, as it is with Podman. What
was the default goes behind it, and is the default again after `bede unconfigure`.

examples:
  bede configure podman
  bede configure docker --dry-run           what would change, as a diff; for everybody
  bede configure containerd --set-default
  bede configure docker --real nvidia       NVIDIA's runtime does its work under bede as well
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which engine, and how far to go."""
    add_engine(parser)
    parser.add_argument("--set-default", action="store_true", help="make bede the engine's default runtime")
    what = "the engine's runtime that is behind bede-runtime (default: its default runtime)"
    parser.add_argument("--real", metavar="NAME", help=what)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Which engine, and whether to only show it."""
    parser.add_argument("engine", metavar="ENGINE", choices=engine.NAMES, help=", ".join(engine.NAMES))
    parser.add_argument("--dry-run", action="store_true", help="print a diff, and write nothing")


def run(args: argparse.Namespace) -> int:
    """Write the engine's files, or show what would be written."""
    module = engine_module(args.engine)
    if not args.dry_run:
        if programs.find(module.PROGRAM) is None:
            raise RuntimeMissingError(
                f"{args.engine} is not installed: there is no {module.PROGRAM}",
                "Install it first, or use --dry-run",
            )
        need_root(args.engine)
    carry_out(module.configure(args.set_default, args.real), args.dry_run)
    if not args.dry_run and not module.state().configured:
        print(f"bede configure: not in effect yet: {module.state().note}", file=sys.stderr)
    return 0


def engine_module(name: str) -> ModuleType:
    """The module of the engine called *name*."""
    return importlib.import_module(f"ocihook.engines.{name}")


def need_root(name: str) -> None:
    """Raises AccessError unless this user may change the engine's files."""
    if os.geteuid() != 0 and not engine_module(name).FOR_USERS:
        raise AccessError(f"only root can change the files of {name}", "Run it as root, or with --dry-run")


def carry_out(plan: Plan, dry_run: bool) -> None:
    """Do what *plan* says, or print it; then what there is to say."""
    changes = plan.changes()
    if dry_run:
        text = edits.diff(changes).encode("utf-8", "surrogateescape")
        print(text.decode("utf-8", "replace"), end="")
    else:
        for line in edits.apply(changes):
            print(line)
    for note in plan.notes:
        print(f"{note}.", file=sys.stderr if dry_run else sys.stdout)
    if not changes:
        print("nothing to do", file=sys.stderr if dry_run else sys.stdout)
    elif plan.then and not dry_run and not all(real.is_ours(edit.path) for edit in changes):
        print(f"now run: {plan.then}")
