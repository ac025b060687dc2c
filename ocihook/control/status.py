# SPDX-License-Identifier: Apache-2.0
"""The status of one bound container, made by its backend.

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
    """Counts of a container's processes that were outside its cgroup."""

    returned: int = 0  #: processes that were put back
    failed: int = 0  #: processes that could not be put back
    seconds: float = 0.0  #: how long all of them were outside, in total
    bytes: int = 0  #: most bytes that they can have charged to other cgroups


@dataclass(frozen=True)
class Status:
    """One bound container now; sizes in bytes. None is for a value that its backend does not count."""

    id: str
    cgroup: str  #: its path from the cgroup root
    bound: int
    local: int
    far: int
    backend: str
    name: str = ""  #: the name by which its engine calls it now
    namespace: str = ""  #: of its pod in Kubernetes; "" if it is in none, like the following
    pod: str = ""  #: the pod's name
    pod_uid: str = ""
    pod_container: str = ""  #: its name in the pod
    borrows: bool = False  #: whether its bound is only lent to it
    key: str = ""  #: the key of its record; "" if there is none
    pid: int | None = None  #: the pid of its first process, if there is a record
    inode: int | None = None  #: the inode of its cgroup, if the container was found by its cgroup
    nodes: dict[str, int] = field(default_factory=dict)  #: bounds of single nodes
    overshoot: int = 0
    runtime: str = ""
    asked: dict[str, str] | None = None  #: its bede annotations, if there is a record
    created: float | None = None  #: seconds since the epoch
    user_high: int | None = None  #: its user's own ``memory.high``
    demoted: int | None = None
    promoted: int | None = None
    program_bound: int = 0  #: local memory that its programs placed by their own policies
    mover_us: int = 0  #: processor time that moving its pages, and finding out which, took
    exchanged: int = 0  #: bytes that the agent demoted to promote others, where the kernel demotes as well
    vain: int = 0  #: bytes that the agent moved back within ten seconds
    #: of what was in use: the share that is local, and the share that would be if the best pages were
    hits_local: float | None = None
    hits_best: float | None = None
    steered: bool = False  #: whether Bede chooses the nodes that it allocates from
    away: bool = False  #: whether Bede has chosen the far nodes now
    stalled: bool = False
    stalls: int = 0
    fence: int | None = None
    fence_events: int = 0
    rounds: int = 0
    outside: Outside | None = None  #: None if nobody follows its processes
    #: counts of a patched kernel, in bytes: allocated far at once, not promoted, allocated past a limit
    steered_bytes: int | None = None
    promotion_denied: int | None = None
    over: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields for ``json.dumps``. Those that not every backend has are left out if None."""
        found = {JSON_NAMES.get(name, name): value for name, value in dataclasses.asdict(self).items()}
        return {name: value for name, value in found.items() if name not in _OPTIONAL or value is not None}


_OPTIONAL = {
    *("inode", "asked", "created", "user_high", "hits_local", "hits_best"),
    *("steered_bytes", "promotion_denied", "over"),
}
_FIELDS = {JSON_NAMES.get(field.name, field.name): field for field in dataclasses.fields(Status)}
_OUTSIDE = {field.name for field in dataclasses.fields(Outside)}


def from_json(raw: object) -> Status:
    """Return the Status in the result of :meth:`Status.as_json`, perhaps of another version of Bede.

    Raises InputError.
    """
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
    """Return the Outside in an agent's answer, perhaps of another version of Bede."""
    return Outside(**{name: value for name, value in raw.items() if name in _OUTSIDE})


@dataclass(frozen=True)
class Change:
    """The result of ``bede set``."""

    status: Status  #: with the new bound
    useless: str = ""  #: why the bound has no effect; "" where it has one
    lasts: bool = True  #: whether the container keeps it when its engine restarts it

    def as_json(self) -> dict[str, Any]:
        """Return the fields for ``json.dumps``."""
        return {**self.status.as_json(), "useless": self.useless, "lasts": self.lasts}


def change_from_json(raw: object) -> Change:
    """Return the Change in the result of :meth:`Change.as_json`, perhaps of another version of Bede.

    Raises InputError.
    """
    status = from_json(raw)
    assert isinstance(raw, dict)  # from_json has checked it
    return Change(status, str(raw.get("useless", "")), bool(raw.get("lasts", True)))
