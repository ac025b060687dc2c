# SPDX-License-Identifier: Apache-2.0
"""Our blocks at the end of a TOML file, between two comments: the rest of the file stays byte for byte."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import tomlkit

from ocihook.errors import InputError

BEGIN = "# bede: begin; `bede configure` wrote this and `bede unconfigure` takes it out"
END = "# bede: end"
_BLOCK = re.compile(rf"(\r?\n){re.escape(BEGIN)}.*?{re.escape(END)}(\r?\n|\Z)", re.DOTALL)


def load(text: str, path: str) -> dict[str, Any]:
    """Return the tables of *text*. Raises InputError naming *path*."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}", "Correct the file first") from None


def append(text: str, body: str) -> str:
    """Return *text* with Bede's block at its end."""
    eol = "\r\n" if "\r\n" in text else "\n"
    block = eol.join(["", BEGIN, *body.splitlines(), END])
    # If the last line has no newline, it must have none again after the block is removed.
    return f"{text}{block}{eol}" if not text or text.endswith("\n") else f"{text}{eol}{block}"


def cut(text: str) -> str:
    """Return *text* without Bede's blocks."""
    while found := _BLOCK.search(text):
        head = text[: found.start()]
        if not found[2]:
            head = head.removesuffix(found[1])
        text = head + text[found.end() :]
    return text


def tables(path: tuple[str, ...], values: dict[str, Any]) -> str:
    """Return *values* as TOML: the table at *path*, and the tables below it."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    lines = [f"[{'.'.join(key(part) for part in path)}]"] if plain or not values else []
    lines += [f"{key(name)} = {tomlkit.item(value).as_string()}" for name, value in plain.items()]
    parts = ["\n".join(lines)] if lines else []
    parts += [tables((*path, name), value) for name, value in values.items() if isinstance(value, dict)]
    return "\n\n".join(parts)


def key(name: str) -> str:
    """Return *name* as a TOML key."""
    bare = re.fullmatch(r"[A-Za-z0-9_-]+", name)
    return name if bare else str(tomlkit.item(name).as_string())


def get(data: Any, *path: str) -> Any:
    """Return the value at *path* in nested tables, or None."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data
