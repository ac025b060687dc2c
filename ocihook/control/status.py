# SPDX-License-Identifier: Apache-2.0
"""The status of one bound container: what backends report, commands show and scripts read.

`bede ps --json` prints the same fields (docs/compatibility.md), so a field that is renamed here keeps its
name there (:data:`JSON_NAMES`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ocihook.errors import InputError

#: the fields that have another name in JSON
JSON_NAMES = {"program_bound": "own"}


@dataclass(frozen=True)
class Outside:
    """Processes of a container that had left its cgroup."""

    returned: int = 0  #: put back
    failed: int = 0  #: that could not be
    seconds: float = 0.0  #: that all of them were outside, together
    bytes: int = 0  #: that they have charged elsewhere


@dataclass(frozen=True)
class Status:
    """One bound container now; sizes in bytes. What nobody counts is None."""

    id: str
    cgroup: str  #: its path from the cgroup root
    bound: int
    local: int
    far: int
    backend: str
    name: str = ""  #: as its engine calls it now
    key: str = ""  #: of its record; "" where there is none
    pid: int | None = None  #: of its first process, where there is a record
    inode: int | None = None  #: of its cgroup, where it was found by that
    nodes: dict[str, int] = field(default_factory=dict)  #: bounds of single nodes
    overshoot: int = 0
    runtime: str = ""
    asked: dict[str, str] | None = None  #: annotations
    created: float | None = None  #: seconds since the epoch
    user_high: int | None = None  #: its user's own ``memory.high``
    demoted: int | None = None
    promoted: int | None = None
    program_bound: int = 0  #: local, and placed by its programs' own policies
    mover_us: int = 0  #: processor time that moving its pages took
    steered: bool = False  #: whether what it allocates is steered
    away: bool = False  #: and whether that is far now
    stalled: bool = False
    stalls: int = 0
    fence: int | None = None
    fence_events: int = 0
    rounds: int = 0
    outside: Outside | None = None  #: None where nobody follows its processes
    steered_bytes: int | None = None  #: placed far at once, by the kernel
    promotion_denied: int | None = None  #: likewise, bytes not promoted
    over: int | None = None  #: likewise, bytes placed past a limit

    def as_json(self) -> dict[str, Any]:
        """For ``json.dumps``. What only a patched kernel counts is left out where nobody does."""
        found = {JSON_NAMES.get(name, name): value for name, value in dataclasses.asdict(self).items()}
        return {name: value for name, value in found.items() if name not in _OPTIONAL or value is not None}


_OPTIONAL = {"inode", "asked", "created", "user_high", "steered_bytes", "promotion_denied", "over"}
_FIELDS = {JSON_NAMES.get(one.name, one.name): one for one in dataclasses.fields(Status)}
_OUTSIDE = {one.name for one in dataclasses.fields(Outside)}


def from_json(raw: object) -> Status:
    """Of what :meth:`Status.as_json` gave, perhaps of another version. Raises InputError."""
    if not isinstance(raw, dict):
        raise InputError("the status of a container is not an object", "Restart the agent")
    known: dict[str, Any] = {_FIELDS[name].name: value for name, value in raw.items() if name in _FIELDS}
    outside = known.get("outside")
    if isinstance(outside, dict):
        known["outside"] = outside_from_json(outside)
    try:
        return Status(**known)
    except TypeError as error:
        raise InputError(f"the status of a container is not whole: {error}", "Restart the agent") from None


def outside_from_json(raw: dict[str, Any]) -> Outside:
    """From an agent's answer about a container's processes."""
    return Outside(**{name: value for name, value in raw.items() if name in _OUTSIDE})


@dataclass(frozen=True)
class Change:
    """What ``bede set`` has come to."""

    status: Status  #: with the new bound
    useless: str = ""  #: why the bound holds nothing back; "" where it does
    lasts: bool = True  #: whether the container begins with it when its engine restarts it

    def as_json(self) -> dict[str, Any]:
        """For ``json.dumps``."""
        return {**self.status.as_json(), "useless": self.useless, "lasts": self.lasts}


def change_from_json(raw: object) -> Change:
    """Of what :meth:`Change.as_json` gave, perhaps of another version. Raises InputError."""
    status = from_json(raw)
    assert isinstance(raw, dict)  # or that had been said
    return Change(status, str(raw.get("useless", "")), bool(raw.get("lasts", True)))
