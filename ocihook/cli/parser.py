# SPDX-License-Identifier: Apache-2.0
"""argparse, with errors in Bede's format."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from ocihook.errors import InputError


class Parser(argparse.ArgumentParser):
    """A parser that raises InputError instead of printing a usage and exiting, as do its sub-parsers."""

    #: whether the first word that is no option begins another command with its own options, as in env(1)
    runs_command = False

    def error(self, message: str) -> NoReturn:
        """Raise argparse's *message* as InputError."""
        hint = f"See {self.prog} --help"
        raise InputError(message, f"Options go before COMMAND. {hint}" if self.runs_command else hint)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse like argparse, but leave the options of a command that *args* contain to that command.

        Return (the parsed arguments, words that are left over).
        """
        if self.runs_command and args is not None:
            args = self._parted(list(args))
        given, left = super().parse_known_args(args, namespace)
        if self.runs_command and left:
            # Report these here: the parent parser's message would have its own name.
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return given, left

    def _parted(self, args: list[str]) -> list[str]:
        """Return *args* with ``--`` inserted before the command, if it is missing."""
        at = 0
        while at < len(args) and args[at].startswith("-") and args[at] not in ("-", "--"):
            at += 2 if self._takes_next(args[at]) else 1
        return args if at >= len(args) or args[at] == "--" else [*args[:at], "--", *args[at:]]

    def _takes_next(self, word: str) -> bool:
        """Return whether the value of the option *word* is the next word."""
        if "=" in word:
            return False
        actions: dict[str, argparse.Action] = self._option_string_actions
        found = [actions[word]] if word in actions else self._begun(word, actions)
        return bool(found) and all(action.nargs is None for action in found)

    def _begun(self, word: str, actions: dict[str, Any]) -> list[argparse.Action]:
        """Return the long options that begin with *word*."""
        if not word.startswith("--"):
            return []
        return [action for name, action in actions.items() if name.startswith(word)]
