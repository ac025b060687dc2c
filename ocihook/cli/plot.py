# SPDX-License-Identifier: Apache-2.0
"""`bede plot`: recordings as a picture, or as a page for a browser."""

import argparse
import os
from pathlib import Path

from ocihook.cli import output
from ocihook.errors import AccessError, InputError
from ocihook.watch import chart, recording

DETAILS = """\
It draws local and far memory over time, stacked, with the bound as a line, and below that what was demoted
and promoted each second. Containers are below each other, all with the same time axis. Several FILEs are runs
side by side, with the same axes: containers in them are the same if they have the same name, or if each is
the only one of its run.

OUT.png needs matplotlib (python3-matplotlib). OUT.html needs nothing to draw or to view it: it is one file
that loads nothing else, shows the values under the pointer, and has a legend to switch parts off.

examples:
  bede plot run.csv -o run.png
  bede plot run.csv -o run.html --container web --title "web, bound 2G"
  bede plot stock.csv patched.csv -o compared.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what to draw, and into which file."""
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="what bede record wrote")
    add("-o", "--output", required=True, metavar="OUT", help="the picture (.png) or page (.html) to write")
    add("--title", default="", metavar="T", help="the title above it")
    add("--container", action="append", default=[], metavar="NAME", help="only these; may be given again")


def run(args: argparse.Namespace) -> int:
    """Draw the recordings. Return the exit status."""
    ending = Path(args.output).suffix.lower()
    if ending not in (".png", ".html"):
        raise InputError(f"{args.output} is neither a .png nor a .html", "Its ending says what to draw")
    drawn = chart.build([_read(name) for name in args.files], args.container, args.title)
    if ending == ".png":
        from ocihook.watch import picture

        _write(args.output, picture.png(drawn))
    else:
        from ocihook.watch import page

        _write(args.output, page.page(drawn).encode("utf-8", "replace"))
    return 0


def _read(name: str) -> recording.Recording:
    try:
        with Path(name).open(encoding="utf-8", errors="replace", newline="\n") as file:
            return recording.parse(file, Path(name).name)
    except PermissionError:
        raise AccessError(f"{name} may not be read") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None


def _write(name: str, data: bytes) -> None:
    """Write the file completely or not at all."""
    beside = f"{name}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        # The directory may belong to another user: never write into a file that exists already.
        with os.fdopen(os.open(beside, flags, 0o644), "wb") as file:
            try:
                file.write(data)
                file.flush()
                Path(beside).replace(name)
            except BaseException:
                Path(beside).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise output.failed(name, error) from None
