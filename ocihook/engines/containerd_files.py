# SPDX-License-Identifier: Apache-2.0
"""containerd's configuration: config.toml and the files that it imports, with and without our settings."""

from __future__ import annotations

import copy
import fnmatch
import glob
import os
import re
from typing import Any, NamedTuple

import tomlkit
import tomlkit.exceptions

from ocihook.engines import edits, real, toml
from ocihook.errors import InputError

CONFIG = "/etc/containerd/config.toml"  #: tests point these elsewhere
OWN = "/etc/containerd/conf.d/bede.toml"
NAME = "containerd"
BUILT_IN = "runc"
RUNC = "io.containerd.runc.v2"
HEAD = (
    "# Made by bede configure containerd: a runtime class that holds the local memory of pods to its bound."
)
#: plugin by the version of the file
_PLUGINS = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime"}
_MARK = "# bede: default"
_LINE = re.compile(rf"^[ \t]*default_runtime_name = \"bede\" {_MARK}\r?\n", re.MULTILINE)
_DEFAULT = re.compile(r"^([ \t]*default_runtime_name[ \t]*=[ \t]*[\"'])([^\"'\r\n]*)([\"'])", re.MULTILINE)


class File(NamedTuple):
    """One file's text, and its parsed content."""

    path: str
    text: str
    data: dict[str, Any]


def plugin(version: int) -> str:
    """Return the name that files of *version* use for the part of the CRI plugin that has the runtimes."""
    return _PLUGINS[min(version, 3)]


def load() -> list[File]:
    """Return config.toml and the files that it imports, in the order in which containerd applies them.

    Each file is there once. Raises BedeError.
    """
    found: list[File] = []
    waiting = [CONFIG]
    while waiting:
        path = waiting.pop(0)
        text = edits.read(path) if path not in (file.path for file in found) else None
        if text is None:
            continue
        found.append(File(path, text, toml.load(text, path)))
        for pattern in _imports(found[-1]):
            waiting += sorted(glob.glob(pattern)) if "*" in pattern else [pattern]
    return found


def version(files: list[File]) -> int | None:
    """Return the version of config.toml; None if that is missing or empty. Raises InputError."""
    data = files[0].data if files and files[0].path == CONFIG else {}
    number = data.get("version", 1)
    if not data:
        return None
    if not isinstance(number, int) or number < 2:
        raise InputError(
            f"{CONFIG} is of version {number}, which has no runtime classes",
            "Let `containerd config migrate` make one of a newer version of it, and put that in its place",
        )
    return number


def imports_own(files: list[File]) -> bool:
    """Return whether config.toml imports Bede's drop-in, once the drop-in exists."""
    main = next((file for file in files if file.path == CONFIG), None)
    directory, name = os.path.split(OWN)
    for pattern in _imports(main) if main else ():
        where, names = os.path.split(pattern)
        if where == directory and fnmatch.fnmatchcase(name, names):
            return True
    return False


def without_ours(file: File) -> File | None:
    """Return *file* without Bede's settings; None if it has no others. Raises InputError."""
    text = _LINE.sub("", toml.cut(file.text))
    data = toml.load(text, file.path)
    for name in _PLUGINS.values():
        runtimes = toml.get(data, "plugins", name, "containerd", "runtimes")
        if toml.get(data, "plugins", name, "containerd", "default_runtime_name") == "bede":
            kept = real.read(NAME)
            text = _with_value(text, "bede", kept.default if kept and kept.default else BUILT_IN)
        if isinstance(runtimes, dict) and is_ours(runtimes.get("bede")):
            text = _taken_out(text, name, file.path)
        data = toml.load(text, file.path)
    if (file.path == OWN or file.text.startswith(HEAD)) and not _others(file.data):
        return None
    return File(file.path, text, data)


def with_default(text: str, name: str, path: str, replaced: str) -> str | None:
    """Return *text* with default_runtime_name = bede in its table of plugin *name*.

    Return None if *text* has no such table. Raises InputError if the default is neither runc nor *replaced*.
    """
    table = toml.get(toml.load(text, path), "plugins", name, "containerd")
    default = toml.get(table, "default_runtime_name")
    if default not in (None, "", BUILT_IN, "bede", replaced):
        raise InputError(
            f'the default runtime in {path} is "{default}"',
            "Remove default_runtime_name from that file first, or run without --set-default",
        )
    if default is not None:
        text = _with_value(text, default, "bede")
        table = toml.get(toml.load(text, path), "plugins", name, "containerd")
        if toml.get(table, "default_runtime_name") != "bede":
            raise InputError(
                f"default_runtime_name in {path} is written in a way that Bede does not edit",
                'Write it as default_runtime_name = "runc", on a line of its own',
            )
        return text
    header = (
        rf"^([ \t]*)\[[ \t]*plugins[ \t]*\.[ \t]*[\"']{re.escape(name)}[\"'][ \t]*\.[ \t]*containerd[ \t]*\]"
    )
    found = re.search(header + r"[ \t]*(#[^\r\n]*)?(\r?\n)", text, re.MULTILINE)
    if found is None:
        return None
    line = f'{found[1]}  default_runtime_name = "bede" {_MARK}{found[3]}'
    return text[: found.end()] + line + text[found.end() :]


def is_ours(runtime: object) -> bool:
    """Return whether a runtime's table names Bede's wrapper."""
    return real.is_ours(toml.get(runtime, "options", "BinaryName"))


def without_imports(file: File) -> str:
    """Return *file*'s text without its imports."""
    if "imports" not in file.data:
        return file.text
    document = tomlkit.parse(file.text)
    document.remove("imports")
    return tomlkit.dumps(document)


def _with_value(text: str, before: str, after: str) -> str:
    """Return *text* with *after* as the value of each default_runtime_name that is *before*."""

    def changed(found: re.Match[str]) -> str:
        return found[0] if found[2] != before else f"{found[1]}{after}{found[3]}"

    return _DEFAULT.sub(changed, text)


def _taken_out(text: str, name: str, path: str) -> str:
    """Return *text* without a runtime `bede` that was written by hand."""
    wanted = toml.load(text, path)
    del wanted["plugins"][name]["containerd"]["runtimes"]["bede"]
    try:
        document = tomlkit.parse(text)
        document["plugins"][name]["containerd"]["runtimes"].remove("bede")
        text = tomlkit.dumps(document)
        if _filled(toml.load(text, path)) == _filled(wanted):
            return text
    except (tomlkit.exceptions.TOMLKitError, InputError):
        pass
    raise InputError(f"the runtime bede cannot be taken out of {path}", "Take it out by hand")


def _others(data: dict[str, Any]) -> dict[str, Any]:
    """Return the settings in *data* except for the version and those that `bede configure` writes."""
    data = copy.deepcopy(data)
    data.pop("version", None)
    for name in _PLUGINS.values():
        table = toml.get(data, "plugins", name, "containerd") or {}
        runtimes = table.get("runtimes", {})
        if is_ours(runtimes.get("bede")):
            del runtimes["bede"]
            if toml.get(runtimes, "runc", "runtime_type") == RUNC:
                del runtimes["runc"]
        if table.get("default_runtime_name") == "bede":
            del table["default_runtime_name"]
    return _filled(data)


def _filled(data: dict[str, Any]) -> dict[str, Any]:
    """Return *data* without empty tables."""
    filled = {name: _filled(value) if isinstance(value, dict) else value for name, value in data.items()}
    return {name: value for name, value in filled.items() if value != {}}


def _imports(file: File) -> list[str]:
    patterns = file.data.get("imports")
    here = os.path.dirname(file.path)
    return [os.path.join(here, str(pattern)) for pattern in patterns] if isinstance(patterns, list) else []
