# SPDX-License-Identifier: Apache-2.0
"""The record of one bound container; docs/architecture.md describes its fields. Pure."""

from binascii import crc32
from math import isfinite

from ocihook import fs
from ocihook.errors import InputError
from ocihook.spec import annotation, fastjson
from ocihook.spec.state import check_bundle, check_id, is_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
_LARGEST = (1 << 64) - 1  # the largest number of the native code and of the kernel's files
#: keys of ``cpuset`` that are only valid together
_TOGETHER = (("away", "home", "mask"), ("cpus", "near"))
_LIST = frozenset("0123456789,-")


class Record:
    """One bound container's record."""

    __slots__ = (
        "backend",
        "bound",
        "bundle",
        "cgroup",
        "cgroup_ino",
        "cpuset",
        "created",
        "id",
        "key",
        "nodes",
        "ns",
        "pid",
        "pid_start",
        "policy",
        "runtime",
        "user_high",
        "user_swap_max",
    )

    def __init__(
        self,
        *,
        id: str,
        bundle: str,
        pid: int,
        pid_start: int,
        ns: dict[str, int],
        cgroup: str,
        cgroup_ino: int,
        policy: dict[str, str],
        bound: int,
        nodes: dict[int, int],
        user_high: int | None,
        created: float,
        user_swap_max: int | None = None,
        backend: str = "tier",
        runtime: str = "",
        cpuset: dict[str, str] | None = None,
    ) -> None:
        self.key = key_of(id, bundle)
        self.id = id
        self.bundle = bundle
        self.pid = pid  #: the pid of the container's first process
        self.pid_start = pid_start  #: when that process started, in clock ticks since boot
        self.ns = ns  #: inodes of its pid, cgroup and mnt namespace
        self.cgroup = cgroup  #: the path of its cgroup below the cgroup v2 mount
        self.cgroup_ino = cgroup_ino
        self.policy = policy  #: the annotations as given
        self.bound = bound  #: bytes on all local nodes
        self.nodes = nodes  #: further bounds in bytes, by node
        self.user_high = user_high  #: the user's own memory.high in bytes; None is "max"
        self.user_swap_max = user_swap_max  #: the user's own memory.swap.max in bytes; None is "max"
        self.created = created  #: seconds since the epoch
        self.backend = backend
        self.runtime = runtime  #: name of the OCI runtime, "" when unknown
        #: data of the migrate backend: see ``steer`` in backends/migrate/steering.py
        self.cpuset = cpuset or {}

    def dumps(self) -> str:
        """Return the record as one JSON object."""
        raw = {name: getattr(self, name) for name in ("key", "id", "bundle", "pid", "pid_start", "ns")}
        raw |= {name: getattr(self, name) for name in ("cgroup", "cgroup_ino", "policy", "bound")}
        raw["nodes"] = {str(node): value for node, value in self.nodes.items()}
        raw |= {
            name: getattr(self, name)
            for name in ("user_high", "user_swap_max", "backend", "runtime", "created", "cpuset")
        }
        return fastjson.dumps({"version": VERSION, **raw})


def key_of(id: str, bundle: str) -> str:
    """Return ``ID-CRC``, the name of a container's record. Raises InputError for an unsafe id."""
    return f"{check_id(id)}-{crc32(bundle.encode('utf-8', 'surrogateescape')):08x}"


def parse(text: str, what: str) -> Record:
    """Return the record in *text*. Raises InputError, which calls the text *what*."""
    raw = fastjson.loads(text, what)
    try:
        return _parse(raw)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, InputError) as error:
        raise InputError(
            f"{what} is malformed ({error})", "Remove it and start the container again"
        ) from None


def _parse(raw: "Any") -> Record:
    """Return the record in *raw*.

    Raises KeyError, TypeError, ValueError or InputError with the field's name.
    """
    if not isinstance(raw, dict) or raw["version"] != VERSION:
        raise ValueError("version")
    return Record(
        id=check_id(raw["id"]),
        bundle=check_bundle(raw["bundle"]),
        pid=_number(raw, "pid"),
        pid_start=_number(raw, "pid_start"),
        ns={_text(name, "ns"): _integer(value, "ns") for name, value in raw["ns"].items()},
        cgroup=_cgroup(raw["cgroup"]),
        cgroup_ino=_number(raw, "cgroup_ino"),
        policy={_text(name, "policy"): _text(value, "policy") for name, value in raw["policy"].items()},
        bound=_bound(raw["bound"]),
        nodes={_node(node): _bound(value) for node, value in raw["nodes"].items()},
        user_high=_limit(raw, "user_high"),
        user_swap_max=_limit(raw, "user_swap_max"),
        backend=_text(raw["backend"], "backend"),
        runtime=_text(raw["runtime"], "runtime"),
        created=_seconds(raw["created"]),
        cpuset=_cpuset(raw.get("cpuset", {})),  # records of earlier versions lack it
    )


def _number(raw: "dict[str, Any]", name: str) -> int:
    return _integer(raw[name], name)


def _limit(raw: "dict[str, Any]", name: str) -> int | None:
    value = raw[name]
    return None if value is None else _integer(value, name)


def _integer(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise ValueError(name)
    return value


def _node(text: str) -> int:
    node = fs.node(text)
    if node is None:
        raise ValueError("nodes")
    return node


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(name)
    return value


def _cgroup(value: object) -> str:
    path = _text(value, "cgroup")
    if not is_path(path):
        raise ValueError("cgroup")
    return path


def _bound(value: object) -> int:
    # A bound below the minimum would leave the container no local memory.
    if _integer(value, "bound") < annotation.MINIMUM:
        raise ValueError("bound")
    return _integer(value, "bound")


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        raise ValueError("created")
    return float(value)


def _cpuset(raw: "Any") -> dict[str, str]:
    found = {_text(name, "cpuset"): _text(text, "cpuset") for name, text in raw.items()}
    for names in _TOGETHER:
        if any(name in found for name in names) and not all(found.get(name) for name in names):
            raise ValueError("cpuset")
    if not all(_LIST.issuperset(text) for text in found.values()):
        raise ValueError("cpuset")
    return found


def own_limits(text: str) -> tuple[int | None, int | None, dict[str, str]]:
    """Return (user_high, user_swap_max, cpuset) of a record of any version; unreadable ones None or empty."""
    try:
        raw = fastjson.loads(text)
    except InputError:
        raw = None
    return _limit_or_none(raw, "user_high"), _limit_or_none(raw, "user_swap_max"), _cpuset_or_none(raw)


def _limit_or_none(raw: "Any", name: str) -> int | None:
    try:
        return _limit(raw, name)
    except (KeyError, TypeError, ValueError):
        return None


def _cpuset_or_none(raw: "Any") -> dict[str, str]:
    try:
        return _cpuset(raw["cpuset"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
