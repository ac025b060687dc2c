# SPDX-License-Identifier: Apache-2.0
"""`bede completion SHELL`: prints the script with which a shell completes this command."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ocihook import errors

if TYPE_CHECKING:
    from ocihook.cli.parser import Parser

SHELLS = ("bash", "zsh")
DETAILS = """\
Bede's Debian package contains the completion of both shells; this is for any other installation.

examples:
  bede completion bash > /etc/bash_completion.d/bede
  bede completion zsh > "${fpath[1]}/_bede"
"""
#: an argument's metavar → its completion: one of shtab's kinds, or a function of PREAMBLES
KINDS = {"FILE": "file", "DIR": "directory", "CONTAINER": "_bede_containers", "COMMAND": "_bede_programs"}
#: In both shells: the names and ids of containers. Only root can list root's: for a command line that begins
#: with sudo, the list is made with sudo, if that needs no password.
_NAMES = """\
_bede_names() {
  local ask=(bede ps --names)
  [[ $1 == "sudo "* && $(id -u) != 0 ]] && ask=(sudo -n "${ask[@]}")
  "${ask[@]}" 2>/dev/null </dev/null | awk '/^[A-Za-z0-9][A-Za-z0-9_.+\\/-]*$/'
}"""
PREAMBLES = {
    "bash": """\
_bede_containers() {
  # Not compgen -W, which expands its words once more: a container's name is anybody's.
  local word
  while read -r word; do
    [[ $word == "$1"* ]] && printf '%s\\n' "$word"
  done < <(_bede_names "$COMP_LINE")
}
_bede_programs() { compgen -c -- "$1"; }""",
    "zsh": """\
_bede_containers() {
  compadd -- ${(f)"$(_bede_names "$BUFFER")"}
}
_bede_programs() { _command_names -e; }""",
}

#: shtab 1.5 (of Debian 12) offers only the first choice, and in zsh only the first of several arguments
REPAIRS = (
    ('"(*)::', '"*:'),
    ('"(*):', '"*:'),
    ('="${current_action}_choices"', '="${current_action}_choices[@]"'),
    ('compgen -W "${current_action_choices}"', """compgen -W "${current_action_choices// /$'\\n'}\""""),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the shell."""
    parser.add_argument("shell", choices=SHELLS, help="whose completion to print")


def run(args: argparse.Namespace) -> int:
    """Print the completion script. Return the exit status."""
    print(script(args.shell))
    return 0


def script(shell: str) -> str:
    """Return the completion for *shell*. Raises InputError where shtab is not installed."""
    try:
        import shtab
    except ModuleNotFoundError:
        raise errors.InputError(
            "bede completion needs the Python package shtab, which is not installed",
            "Install it with pip, or as Debian's python3-shtab",
        ) from None
    text: str = shtab.complete(tree(), shell, preamble=f"{_NAMES}\n{PREAMBLES[shell]}")
    for wrong, right in REPAIRS:
        text = text.replace(wrong, right)
    return text.rstrip("\n")


def tree() -> Parser:
    """Return one parser for everything: `bede` itself, with all commands as sub-parsers."""
    from ocihook.cli import main

    top = main.top_parser()
    # `bede` parses in two steps, so that it loads only one command's module; a completion needs all of them.
    top._remove_action(next(action for action in top._actions if action.dest == "command"))
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name in main.commands():
        parent = main.command_parser(name)
        commands.add_parser(name, parents=[parent], add_help=False, help=main.COMMANDS[name])
    _mark(top)
    return top


def _mark(parser: argparse.ArgumentParser) -> None:
    """Tell shtab what completes each argument of *parser* and of those below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _mark(below)
        elif action.choices is not None:
            action.choices = list(action.choices)  # a dictionary is sub-parsers to shtab
        elif kind := KINDS.get(str(action.metavar)):
            own = kind.startswith("_")
            action.complete = dict.fromkeys(SHELLS, kind) if own else kind  # type: ignore[attr-defined]
