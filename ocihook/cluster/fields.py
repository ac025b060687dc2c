# SPDX-License-Identifier: Apache-2.0
"""Reads fields of JSON that others wrote: a field of another type counts as one that is missing."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]  #: an object


def find(raw: object, *path: str) -> object:
    """Return the value below *raw* at *path*; None if there is none."""
    for name in path:
        if not isinstance(raw, dict):
            return None
        raw = raw.get(name)
    return raw


def mapping(raw: object, *path: str) -> Json:
    """Return the object at *path*; empty if there is none."""
    found = find(raw, *path)
    return found if isinstance(found, dict) else {}


def objects(raw: object, *path: str) -> list[Json]:
    """Return the objects in the array at *path*."""
    found = find(raw, *path)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text(raw: object, *path: str) -> str:
    """Return the text at *path*; "" if there is none."""
    found = find(raw, *path)
    return found if isinstance(found, str) else ""


def texts(raw: object, *path: str) -> dict[str, str]:
    """Return the object at *path* without those of its values that are no texts."""
    return {name: value for name, value in mapping(raw, *path).items() if isinstance(value, str)}


def size(raw: object, *path: str) -> int:
    """Return the number at *path*, which is not below zero; 0 if there is none."""
    found = find(raw, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else 0
