# SPDX-License-Identifier: Apache-2.0
"""Edits of JSON text that change one member and leave every other byte as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class _Member(NamedTuple):
    name: str
    start: int  #: position of the quote before its name
    value: int  #: position where its value starts
    end: int  #: position where its value ends


class _Object(NamedTuple):
    start: int  #: position after the opening brace
    members: list[_Member]
    end: int  #: position of the closing brace

    def find(self, name: str) -> _Member | None:
        return next((member for member in self.members if member.name == name), None)


def load(text: str) -> dict[str, Any]:
    """Return the JSON object in *text*. Raises ValueError if it is no object, or has a name twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f'"{twice}" is there twice')
        return found

    try:
        data = json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    return data


def put(text: str, path: Sequence[str], value: Any) -> str:
    """Return *text* with *value* at *path*.

    The value replaces the old one, or becomes the last member of its object. A null on the way counts as a
    missing object. Raises ValueError if a part of *path* before the last is no object.
    """
    load(text)
    unit = _unit(text)
    at = _skip(text, 0)
    indent = ""
    for depth, name in enumerate(path):
        parent = _object(text, at)
        member = parent.find(name)
        if member is None:
            for part in reversed(path[depth + 1 :]):
                value = {part: value}
            return _insert(text, parent, name, value, indent, unit)
        at = member.value
        indent = _indent(text, member.start)
        rest = path[depth + 1 :]
        if rest and text[at : member.end] == "null":
            for part in reversed(rest):
                value = {part: value}
            rest = ()
        if not rest:
            lines = _is_broken(text, parent)
            return text[:at] + _dump(value, text, indent if lines else None, unit) + text[member.end :]
    raise ValueError("no path")


def remove(text: str, path: Sequence[str]) -> str:
    """Return *text* without the member at *path*. Raises ValueError, KeyError if it is missing."""
    load(text)
    at = _skip(text, 0)
    for name in path[:-1]:
        member = _object(text, at).find(name)
        if member is None:
            raise KeyError(name)
        at = member.value
    parent = _object(text, at)
    member = parent.find(path[-1])
    if member is None:
        raise KeyError(path[-1])
    index = parent.members.index(member)
    if index:  # also remove the comma and the space before it
        return text[: parent.members[index - 1].end] + text[member.end :]
    if len(parent.members) > 1:
        return text[: member.start] + text[parent.members[1].start :]
    return text[: parent.start] + text[member.end :]


def _insert(text: str, parent: _Object, name: str, value: Any, indent: str, unit: str) -> str:
    if parent.members:
        last = parent.members[-1]
        if len(parent.members) > 1:
            space = text[text.index(",", parent.members[-2].end) + 1 : last.start]
        elif _is_broken(text, parent):
            space = text[parent.start : last.start]
        else:
            space = " " if text[last.value - 1].isspace() else ""
        at, before = last.end, f",{space}"
        inner = _indent(text, last.start) if _is_broken(text, parent) else None
    else:  # keep the space between the braces after the new member: a removal then restores it
        at = parent.start
        between = text[parent.start : parent.end]
        broken = "\n" in between
        inner = indent + unit if broken else None
        before = _eol(text) + indent + unit if broken else between
    body = f"{json.dumps(name)}: {_dump(value, text, inner, unit)}"
    return text[:at] + before + body + text[at:]


def _dump(value: Any, text: str, indent: str | None, unit: str) -> str:
    """Return *value* as JSON in the file's style; on one line if *indent* is None."""
    if indent is None:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, ensure_ascii=False, indent=unit).split("\n")
    return (_eol(text) + indent).join(lines)


def _object(text: str, at: int) -> _Object:
    """Return the object whose brace is at *at* in the valid JSON *text*.

    Raises ValueError if there is none.
    """
    if text[at] != "{":
        raise ValueError(f"no JSON object at character {at}")
    start = at + 1
    members: list[_Member] = []
    at = _skip(text, start)
    while text[at] != "}":
        begin = at
        name, at = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, value)
        members.append(_Member(name, begin, value, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return _Object(start, members, at)


def _is_broken(text: str, parent: _Object) -> bool:
    """Return whether the members of *parent* have lines of their own."""
    return bool(parent.members) and "\n" in text[parent.start : parent.members[0].start]


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _indent(text: str, at: int) -> str:
    """Return the space at the beginning of the line that contains *at*."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    """Return the file's indentation: that of its first member, else two spaces."""
    top = _object(text, _skip(text, 0))
    if _is_broken(text, top):
        return _indent(text, top.members[0].start) or "  "
    return "  "


def _eol(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
