# SPDX-License-Identifier: Apache-2.0
"""JSON without the ``json`` package, which alone would double the hook's start time.

CPython's own C scanner and encoder (``_json``) do the work; ``json`` is imported only where
an interpreter has no ``_json`` that fits, or for its message when a document is malformed.
"""

from ocihook.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SPACE = " \t\n\r"
_CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Context:
    """What ``_json.make_scanner`` reads from a ``json.JSONDecoder``."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = _CONSTANTS.__getitem__
    memo: "dict[str, str]" = {}  # noqa: RUF012 - the attribute is part of the protocol, nobody fills it


_scan: "Callable[[str, int], tuple[Any, int]]"
_encode: "Callable[[object, int], tuple[str, ...]] | None"


def _refuse(value: object) -> "Any":
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


try:
    import _json

    _scan = _json.make_scanner(_Context)  # type: ignore[arg-type]
    _encode_string = _json.encode_basestring_ascii
    _encode = _json.make_encoder(None, _refuse, _encode_string, None, ": ", ", ", False, False, True)
    _scan("[{}, 0]", 0)
    _encode({}, 0)
except (ImportError, AttributeError, TypeError):  # pragma: no cover - another interpreter
    _encode = None


def loads(text: str | bytes, what: str = "the document") -> "Any":
    """Return the value of the JSON document *text* (bytes: UTF-8); InputErrors call it *what*."""
    try:
        if not isinstance(text, str):
            text = text.decode("utf-8")
        if _encode is None:  # pragma: no cover
            import json

            return json.loads(text)
        return _loads(text)
    except RecursionError:
        raise InputError(f"{what} is not usable JSON: nested too deeply") from None
    except ValueError as error:
        # JSONDecodeError and UnicodeDecodeError are ValueErrors; int() also refuses endless numbers.
        raise InputError(f"{what} is not JSON: {error}") from None


def dumps(value: object) -> str:
    """Return *value* as one line of ASCII JSON. Raises TypeError, ValueError as ``json.dumps`` does."""
    if _encode is None:  # pragma: no cover
        import json

        return json.dumps(value)
    if isinstance(value, str):
        return _encode_string(value)
    return "".join(_encode(value, 0))


def _loads(text: str) -> "Any":
    start = len(text) - len(text.lstrip(_SPACE))
    try:
        value, end = _scan(text, start)
    except StopIteration as stop:
        raise ValueError(f"expecting a value at character {stop.value}") from None
    except SystemError:
        # Up to Python 3.12 the scanner can only raise JSONDecodeError once json.decoder is there.
        import json

        return json.loads(text)
    rest = text[end:].lstrip(_SPACE)
    if rest:
        raise ValueError(f"extra data at character {len(text) - len(rest)}")
    return value
