# SPDX-License-Identifier: Apache-2.0
"""Lets containerd read planned configuration files, by its own `config dump`, before they are installed."""

from __future__ import annotations

import copy
import tempfile
import tomllib
from typing import Any

from ocihook import fs
from ocihook.engines import containerd_files, programs, toml
from ocihook.engines.containerd_files import File
from ocihook.errors import InputError, RuntimeMissingError

PROGRAM = "containerd"


def speaks() -> int:
    """Return the newest version of configuration files that this host's containerd reads.

    Return 2 if containerd is not installed.
    """
    try:
        data = tomllib.loads(programs.output(PROGRAM, "config", "default"))
    except (RuntimeMissingError, tomllib.TOMLDecodeError):
        return 2
    number = data.get("version", 2)
    return number if isinstance(number, int) else 2


def dump(files: list[File], version: int) -> dict[str, Any] | None:
    """Return the configuration that *files* alone, with their imports, make; None without containerd.

    Raises InputError if containerd refuses them.
    """
    if programs.find(PROGRAM) is None:
        return None
    with tempfile.TemporaryDirectory(prefix="bede-") as private:
        copies = []
        # leave out empty files: without a version containerd would take them for version 1
        files = [file for file in files if file.data]
        for number, file in enumerate(files):
            copies.append(f"{private}/{number:03}.toml")
            fs.replace(copies[-1], containerd_files.without_imports(file))
        main = f"{private}/main.toml"
        fs.replace(main, f"version = {version}\n{f'imports = {copies}' if copies else ''}\n")
        try:
            return tomllib.loads(programs.output(PROGRAM, "--config", main, "config", "dump"))
        except RuntimeMissingError as error:
            why = error.message.rpartition("failed: ")[2]
            for path, file in zip(copies, files, strict=True):
                why = why.replace(path, file.path)
            raise InputError(
                f"containerd refuses its configuration: {why}", "Correct the file first"
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise InputError(
                f"the output of containerd config dump is not TOML: {error}", "Run that command to see it"
            ) from None


def cri(dumped: dict[str, Any] | None) -> dict[str, Any]:
    """Return the `containerd` table of the CRI plugin in a dump, whichever version the dump has."""
    for version in (3, 2):
        table = toml.get(dumped, "plugins", containerd_files.plugin(version), "containerd")
        if isinstance(table, dict):
            return table
    return {}


def lost(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the settings of *before* that *after* lacks, except for those that `bede configure` changes."""
    return _missing(_others(before), _others(after), "")


def _others(dumped: dict[str, Any]) -> dict[str, Any]:
    dumped = copy.deepcopy(dumped)
    dumped.pop("imports", None)
    table = cri(dumped)
    table.pop("default_runtime_name", None)
    if isinstance(table.get("runtimes"), dict):
        table["runtimes"].pop("bede", None)
    return dumped


def _missing(before: Any, after: Any, path: str) -> list[str]:
    if isinstance(before, dict) and (after is None or isinstance(after, dict)):
        after = after or {}
        return [
            setting
            for name in before
            for setting in _missing(before[name], after.get(name), f"{path}.{name}")
        ]
    # A dump shows some empty defaults, for the built-in runtime only.
    return [] if before == after or not (before or after) else [path.lstrip(".")]
