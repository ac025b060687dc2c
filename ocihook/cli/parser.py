"""argparse, with errors of Bede's one shape."""

import argparse
from typing import NoReturn

from ocihook.errors import InputError


class Parser(argparse.ArgumentParser):
    """Raises InputError instead of printing a usage and exiting; its sub-parsers do likewise."""

    def error(self, message: str) -> NoReturn:
        """What argparse says of the arguments, as one of our errors."""
        raise InputError(message, f"See {self.prog} --help")
