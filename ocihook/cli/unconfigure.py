# SPDX-License-Identifier: Apache-2.0
"""`bede unconfigure ENGINE`: takes back what `bede configure ENGINE` wrote."""

import argparse

from ocihook.cli import configure

DETAILS = """\
Takes out what `bede configure` wrote, from the files as they are now, and what is empty without it. It puts
no backup back over what was changed since. What is not Bede's stays as it is, byte for byte.

  podman      where a package's hooks are in /usr/share/containers/oci/hooks.d, files of the same names that
              never match are put into /etc/containers/oci/hooks.d, which masks them; `bede configure podman`
              takes those away again
  docker      also "default-runtime" where that is bede. Containers that were made with the runtime bede do
              not start without it.
  containerd  also default_runtime_name where that is bede; runc is the default then

Containers that run go on, and stay bound.

examples:
  bede unconfigure docker --dry-run
  bede unconfigure podman
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which engine, and how far to go."""
    configure.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Take it out of the engine's files, or show what would change."""
    if not args.dry_run:
        configure.need_root(args.engine)
    module = configure.engine_module(args.engine)
    configure.carry_out(module.unconfigure(), args.dry_run)
    return 0
