# SPDX-License-Identifier: Apache-2.0
"""mkdocs' hook: the page of all commands, from the text that `--help` prints."""

import os

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ocihook.cli import main

PAGE = "commands.md"


def page() -> str:
    """The page: what `bede --help` says, then a section a command."""
    os.environ["COLUMNS"] = "100"  # as wide as the page, not as a terminal
    parts = ["# Commands", _code(main.top_parser().format_help())]
    for name in main.commands():
        parts += [f"## bede {name}", _code(main.command_parser(name).format_help())]
    return "\n\n".join(parts) + "\n"


def _code(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page to those that are there."""
    files.append(File.generated(config, PAGE, content=page()))
    return files
