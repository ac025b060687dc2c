# SPDX-License-Identifier: Apache-2.0
"""Quantities as Kubernetes writes them: ``8Gi``, ``500M``, ``1e9``, ``1.5Gi``, ``128974848``.

Source: ``k8s.io/apimachinery/pkg/api/resource``. Bede's own sizes (:mod:`ocihook.spec.size`) differ: there
``2G`` is 2 GiB, here it is 2 * 10^9.
"""

import re
from fractions import Fraction

from ocihook.errors import InputError

_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_FORM = re.compile(r"\+?([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})([A-Za-z]{0,2}|[eE][+-]?[0-9]{1,2})")
_LARGEST = 1 << 63  # the API server keeps a quantity in 64 bits


def parse(text: object, what: str = "quantity") -> int:
    """Return the bytes of a quantity; a fraction of a byte counts as a whole one, as in Kubernetes.

    JSON may have it as a text or as a number. The InputError calls it *what*.
    """
    given = str(text) if isinstance(text, (str, int)) and not isinstance(text, bool) else ""
    found = _FORM.fullmatch(given)
    scale = _scale(found[2]) if found else None
    if found is None or scale is None:
        raise InputError(f"{what} {given[:40]!a} is no quantity", "Write one such as 512Mi, 8Gi or 1G")
    value = Fraction(found[1]) * scale
    if value >= _LARGEST:
        raise InputError(f"{what} {given[:40]} is more than any node has", "Ask for less")
    return -(-value.numerator // value.denominator)


def _scale(suffix: str) -> Fraction | None:
    """Return what *suffix* multiplies by; None if there is no such suffix."""
    if suffix in _BINARY:
        return Fraction(1 << _BINARY[suffix])
    if suffix in _DECIMAL:
        return Fraction(10) ** _DECIMAL[suffix]
    if suffix[:1] in ("e", "E") and suffix[1:].lstrip("+-").isdigit():
        return Fraction(10) ** int(suffix[1:])
    return None


def format_bytes(size: int) -> str:
    """Return *size* bytes with the largest binary unit that divides it: ``8Gi``, ``1000``."""
    for unit, shift in reversed(_BINARY.items()):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift}{unit}"
    return str(size)


def in_words(size: int) -> str:
    """Return *size* bytes for a person, to a tenth of the largest unit: ``1.5Gi``, ``60.8Mi``."""
    for unit, shift in reversed(_BINARY.items()):
        if size >= 1 << shift:
            text = f"{size / (1 << shift):.1f}".removesuffix(".0")
            return f"{text}{unit}"
    return str(size)
