# SPDX-License-Identifier: Apache-2.0
"""Amounts of memory as people write them: ``134217728``, ``128M``, ``1.5GiB``, ``2Gi``.

All units are binary, as in Docker and Podman.
"""

from ocihook.errors import InputError

_SHIFTS = {
    unit: shift
    for letter, shift in (("k", 10), ("m", 20), ("g", 30), ("t", 40))
    for unit in (letter, f"{letter}b", f"{letter}i", f"{letter}ib")
} | {"": 0, "b": 0}
_LONGEST = 40
_LARGEST = 1 << 62  # bytes: the sum of two such amounts still fits into the kernel's page counters

_HINT = "Write bytes or a size such as 134217728, 128M, 1.5G or 2Gi"


def parse(text: str, what: str = "size") -> int:
    """Return the bytes in *text*; fractions are rounded down. The InputError calls the text *what*."""
    number, unit = _split(text.strip())
    shift = _SHIFTS.get(unit.lower())
    if shift is None or len(text) > _LONGEST:
        raise InputError(f"{what} {text[:_LONGEST]!a} is not an amount of memory", _HINT)
    digits, scale = decimal(number)
    if scale == 0:
        raise InputError(f"{what} {text[:_LONGEST]!a} is not an amount of memory", _HINT)
    value = (digits << shift) // scale
    if value > _LARGEST:
        raise InputError(f"{what} {text.strip()} is more than any machine has", _HINT)
    return value


def decimal(number: str) -> tuple[int, int]:
    """Return *number* as an exact fraction, "1.5" as (15, 10); (0, 0) if it is no plain decimal number."""
    whole, dot, fraction = number.partition(".")
    if not _digits(whole) or (dot and not _digits(fraction)):
        return 0, 0
    return int(whole + fraction), 10 ** len(fraction)


def format_size(size: int) -> str:
    """Return *size* bytes with the largest unit that divides it: ``128M``, ``1000``."""
    for letter, shift in (("T", 40), ("G", 30), ("M", 20), ("K", 10)):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift}{letter}"
    return str(size)


def _digits(text: str) -> bool:
    # str.isdigit alone also takes the digits of every other script.
    return text.isascii() and text.isdigit()


def _split(text: str) -> tuple[str, str]:
    end = len(text)
    while end and text[end - 1].isascii() and text[end - 1].isalpha():
        end -= 1
    return text[:end].rstrip(" "), text[end:]
