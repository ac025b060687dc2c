# SPDX-License-Identifier: Apache-2.0
"""`bede unconfigure ENGINE`: removes what `bede configure ENGINE` wrote."""

import argparse

from ocihook.cli import configure
from ocihook.engines import engine, kubelet

DETAILS = """\
It removes from the files, as they are now, what `bede configure` wrote, and what is empty without that. It
does not restore backups, so later changes are kept. What is not Bede's stays as it is, byte for byte.

  podman      if a package's hooks are in /usr/share/containers/oci/hooks.d, files of the same names that
              never match are put into /etc/containers/oci/hooks.d, which disables the hooks; `bede configure
              podman` removes these files again
  docker      also "default-runtime" if that is bede. Containers that were made with the runtime bede do
              not start without it.
  containerd  also default_runtime_name if that is bede; runc is the default then

Running containers continue, and stay bound.

examples:
  bede unconfigure docker --dry-run
  bede unconfigure podman
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which engine to change, and how far to go."""
    configure.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Remove Bede's part from the engine's files, or show what would change. Return the exit status."""
    name = configure.meant(args.engine)
    if not args.dry_run:
        configure.need_root(name)
        if args.engine == kubelet.WORD:
            kubelet.remove_mark()
    configure.carry_out(engine.named(name).unconfigure(), args.dry_run)
    return 0
