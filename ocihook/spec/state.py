# SPDX-License-Identifier: Apache-2.0
"""The OCI state that a runtime passes to its hooks on standard input.

The hook's stage cannot be derived from its status: crun says ``created`` where runc says ``creating``.
"""

from ocihook.errors import InputError
from ocihook.spec import fastjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIMIT = 1 << 20  #: bytes of the largest state that is read
_LONGEST_ID = 200
_ALPHANUMERIC = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_ID = _ALPHANUMERIC | frozenset("_.+-")
_LONGEST_PATH = 4096
_LARGEST_PID = 1 << 22  # PID_MAX_LIMIT of 64-bit kernels

_HINT = "This program is a hook: an OCI runtime gives it the state of a container on standard input"


class State:
    """One container, as its runtime describes it."""

    __slots__ = ("annotations", "bundle", "id", "pid", "status")

    def __init__(
        self, id: str, pid: int, bundle: str, status: str, annotations: dict[str, str] | None
    ) -> None:
        self.id = id  #: matches ``[A-Za-z0-9][A-Za-z0-9_.+-]*``, at most 200 characters
        self.pid = pid  #: the pid of the container's first process; 0 if it has none, or none any more
        self.bundle = bundle  #: absolute path
        self.status = status  #: a word that each runtime chooses
        self.annotations = annotations  #: None if the runtime has left them out


def parse(data: str | bytes) -> State:
    """Return the state in the JSON document *data*. Raises InputError."""
    if len(data) > LIMIT:
        raise InputError("the container's state is larger than 1 MiB", _HINT)
    if not data.strip():
        raise InputError("there is no container state on standard input", _HINT)
    raw = fastjson.loads(data, "the container's state")
    if not isinstance(raw, dict):
        raise InputError("the container's state is not a JSON object", _HINT)
    return State(
        check_id(raw.get("id")),
        _pid(raw.get("pid")),
        check_bundle(raw.get("bundle")),
        _status(raw.get("status")),
        check_annotations(raw.get("annotations")),
    )


def check_id(value: object) -> str:
    """Return *value* if it is a container id that is safe as a file name. Raises InputError."""
    if not isinstance(value, str):
        raise InputError("the container's state has no id", _HINT)
    if not value or len(value) > _LONGEST_ID or value[0] not in _ALPHANUMERIC or not _ID.issuperset(value):
        raise InputError(
            f"the container id {value[:40]!a} is not one Bede accepts",
            f"Use letters, digits and _.+- after a first letter or digit, at most {_LONGEST_ID} characters",
        )
    return value


def check_bundle(value: object) -> str:
    """Return *value* if it is an absolute path without ``..``. Raises InputError."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise InputError("the container's state has no absolute bundle path", _HINT)
    if len(value) > _LONGEST_PATH or not is_path(value):
        raise InputError(f"the bundle path {value[:80]!a} is not a path Bede accepts", _HINT)
    return value


def is_path(text: str) -> bool:
    """Return whether *text* is an absolute path, without ``..``, that a file can have."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return text.startswith("/") and "\0" not in text and ".." not in text.split("/")


def check_annotations(value: "Any") -> dict[str, str] | None:
    """Return *value* if it is an object of strings, or None. Raises InputError."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InputError("the container's annotations are not a JSON object")
    for name, text in value.items():
        if not isinstance(text, str):
            raise InputError(f"annotation {name[:80]!a} is not a string", 'Put its value in quotes, as "2G"')
    return value


def _pid(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST_PID:
        raise InputError("the pid in the container's state is not a process number", _HINT)
    return value


def _status(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError("the status in the container's state is not a string", _HINT)
    return value
