#!/usr/bin/python3
"""manpages.py LIB DIR: a manual page for `bede` and one for each of its commands, from their --help."""

import argparse
import importlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SEE_ALSO = "[SEE ALSO]\n{}\n.BR bede-hook (8),\n.BR bede-runtime (8),\n.I /usr/share/doc/bede/README.md\n"
WHAT = "hold containers' local memory (DRAM) to a bound"
HEADING = re.compile(r"^[a-z][a-z ]*:$", re.MULTILINE)
KNOWN = ("options:", "examples:")  #: the headings that help2man makes sections of by itself


def prepared(parser: argparse.ArgumentParser) -> str:
    """The --help of *parser* with its headings as help2man knows them."""
    text, more = parser.format_help(), parser.epilog or ""
    if more and not HEADING.match(more):
        text = text.replace(more[:60], f"*Notes*\n\n{more[:60]}")
    text = HEADING.sub(lambda one: one[0].title() if one[0] in KNOWN else f"*{one[0][:-1]}*\n", text)
    return text.replace("usage:", "Usage:", 1)


def page(
    name: str, what: str, parser: argparse.ArgumentParser, version: str, see: list[str], section: int
) -> str:
    """The page *name* of what *parser* parses."""
    with tempfile.TemporaryDirectory() as work:
        # help2man names the page after a program, and these are not programs of their own.
        program, include = Path(work, name), Path(work, "include")
        program.with_suffix(".txt").write_text(prepared(parser))
        program.write_text('#!/bin/sh\ncat "$0.txt"\n')
        program.chmod(0o755)
        include.write_text(SEE_ALSO.format("\n".join(f".BR {other} (1)," for other in see)))
        line = ["help2man", "--no-info", "--locale=C.UTF-8", f"--version-string={version}", f"--name={what}"]
        line += [f"--include={include}", f"--section={section}", str(program)]
        made = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.sub(r"(?ms)^(\.SH EXAMPLES\n\.IP\n)(.*?)(?=^\.(?:SH|PP))", r"\1.nf\n\2.fi\n", made)


def main() -> None:
    """Write them all, of the package that is in LIB."""
    library, target = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, str(library))
    os.environ["COLUMNS"] = "100"
    import ocihook
    from ocihook.cli import main as cli

    target.mkdir(parents=True, exist_ok=True)
    names = cli.commands()
    version, pages = (
        ocihook.__version__,
        {"bede": (WHAT, cli.top_parser(), [f"bede-{name}" for name in names])},
    )
    daemons = ["bede-node", "bede-controller", "bede-webhook"]
    for name in daemons:
        program = importlib.import_module(f"ocihook.cluster.{name.removeprefix('bede-')}.program")
        pages[name] = (program.WHAT[:1].lower() + program.WHAT[1:-1], program.parser(), ["bede"])
    for name in names:
        pages[f"bede-{name}"] = (cli.COMMANDS[name], cli.command_parser(name), ["bede"])
    for name, (what, parser, see) in pages.items():
        section = 8 if name in daemons else 1
        text = page(name, what, parser, version, see, section)
        (target / f"{name}.{section}").write_text(text)


if __name__ == "__main__":
    main()
