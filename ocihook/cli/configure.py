# SPDX-License-Identifier: Apache-2.0
"""`bede configure ENGINE`: edits an engine's files, so that annotations of its containers reach Bede."""

import argparse
import os
import sys

from ocihook.engines import edits, engine, kubelet, programs, real
from ocihook.engines.edits import Plan
from ocihook.errors import AccessError, RuntimeMissingError

DETAILS = """\
These files are written, all atomically, keeping their mode and owner:
  podman      /etc/containers/oci/hooks.d/bede-*.json, and so that Podman reads these
              /etc/containers/containers.conf.d/bede.conf; nothing if a package has put the hooks into
              /usr/share/containers/oci/hooks.d. For a user other than root, the same in ~/.config/containers.
  docker      the runtime bede in /etc/docker/daemon.json, the rest of which stays as it is
  containerd  the runtime class bede, in /etc/containerd/conf.d/bede.toml if config.toml imports that;
              else, and if files of version 2 have settings of the CRI plugin, at the end of config.toml
  crio        the runtime handler bede in /etc/crio/crio.conf.d/99-bede.conf
  kubernetes  those of the engine that the kubelet uses, containerd or crio; and an empty directory bede.dev
              in /var/lib/kubelet/device-plugins, so that a restarted kubelet keeps the node's local memory
  and if bede-runtime has to start a certain runtime of an engine, the script /etc/bede/bede-runtime-ENGINE

The last three versions of each changed file are kept beside it as NAME.bede-YYYYMMDDHHMMSS (for a file in a
directory *.d, beside that directory). There is no backup of a file that does not change, or is Bede's alone.
If dockerd or containerd can check a new file, it is only written if they accept it, and only if containerd
loses no setting. The last line is the command that makes the engine read its files again. A second run does
nothing.

bede-runtime starts the engine's default runtime, so that a container under bede keeps what that does: a
second wrapper (NVIDIA's), or a runc or crun of the engine's own. --real makes it start another runtime of the
engine, and a second run keeps that. Podman does not need this: it calls Bede's hooks with any runtime.

--set-default makes bede the default runtime: then an annotation alone is enough, as it is with Podman.
bede-runtime starts the previous default, which is the default again after `bede unconfigure`.

examples:
  bede configure podman
  bede configure docker --dry-run           what would change, as a diff; for everybody
  bede configure containerd --set-default
  bede configure docker --real nvidia       NVIDIA's runtime does its work under bede as well
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which engine to configure, and how far to go."""
    add_engine(parser)
    parser.add_argument("--set-default", action="store_true", help="make bede the engine's default runtime")
    what = "the engine's runtime that is behind bede-runtime (default: its default runtime)"
    parser.add_argument("--real", metavar="NAME", help=what)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the engine's name, and the option that only shows the changes."""
    names = (*engine.NAMES, kubelet.WORD)
    parser.add_argument("engine", metavar="ENGINE", choices=names, help=", ".join(names))
    parser.add_argument("--dry-run", action="store_true", help="print a diff, and write nothing")


def run(args: argparse.Namespace) -> int:
    """Write the engine's files, or show what would be written. Return the exit status."""
    name = meant(args.engine)
    chosen = engine.named(name)
    if not args.dry_run:
        if programs.find(chosen.PROGRAM) is None:
            raise RuntimeMissingError(
                f"{name} is not installed: there is no {chosen.PROGRAM}",
                "Install it first, or use --dry-run",
            )
        need_root(name)
        if args.engine == kubelet.WORD:
            kubelet.keep_mark()
    carry_out(chosen.configure(args.set_default, args.real), args.dry_run)
    if not args.dry_run and not chosen.state().configured:
        print(f"bede configure: not in effect yet: {chosen.state().note}", file=sys.stderr)
    return 0


def meant(name: str) -> str:
    """Return the engine that *name* means: the kubelet's, if that is kubernetes. Raises BedeError."""
    return kubelet.engine() if name == kubelet.WORD else name


def need_root(name: str) -> None:
    """Check that this user may change the engine's files. Raises AccessError if not."""
    if os.geteuid() != 0 and not engine.named(name).FOR_USERS:
        raise AccessError(f"only root can change the files of {name}", "Run it as root, or with --dry-run")


def carry_out(plan: Plan, dry_run: bool) -> None:
    """Carry *plan* out, or only print it; then print its messages."""
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
