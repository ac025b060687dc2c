# SPDX-License-Identifier: Apache-2.0
"""Explains a container's bound: what was asked for, what is in force, what another backend would do."""

from __future__ import annotations

import time
from typing import NamedTuple

from ocihook import config, fs
from ocihook.backends import choose
from ocihook.cgroup import memory, path
from ocihook.cgroup.names import short
from ocihook.control.status import Status
from ocihook.engines import names
from ocihook.errors import BedeError, InputError
from ocihook.spec import annotation
from ocihook.spec.size import format_size

MIB = 1 << 20


class Fact(NamedTuple):
    """One fact, and its subject."""

    about: str
    text: str


def explain(container: Status) -> list[Fact]:
    """Return the facts about *container*. Raises InputError if it has ended."""
    cgroup = path.reopen(container.cgroup, container.inode)
    if cgroup is None:
        raise InputError(f"container {short(container.id)} has ended")
    with cgroup:
        try:
            limit = memory.container_limit(cgroup)
            asked = container.asked or names.annotations_of(container.id, container.cgroup)
            told = choose.named(container.backend).explain(container, cgroup.fd, _settings())
            found = [
                _asked(container, asked),
                _origin(container, told.origin),
                _in_force(container, told.by_node, _resolved(asked, limit)),
                *(Fact(*fact) for fact in told.held_by),
                _now(container),
                _limits(limit, cgroup.fd),
                Fact("promotion", told.promotion),
                Fact("elsewhere", told.elsewhere),
            ]
        except OSError:
            raise InputError(f"container {short(container.id)} has ended") from None
    return found


def _settings() -> config.Config:
    try:
        return config.load()
    except BedeError:
        return config.Config()


def _asked(container: Status, asked: dict[str, str] | None) -> Fact:
    if container.runtime == "bede run":
        return Fact("asked", f"bede run --local {(asked or {}).get(annotation.LOCAL, '')}")
    policy = _policy(asked)
    ours = policy.given if policy else {k: v for k, v in (asked or {}).items() if annotation.is_any({k: v})}
    if ours:
        return Fact("asked", ", ".join(f"{name}={value}" for name, value in sorted(ours.items())))
    return Fact("asked", "not known: the kernel keeps limits, not annotations, and its engine does not tell")


def _origin(container: Status, unrecorded: str) -> Fact:
    """Return the fact who put the bound in force, and when; *unrecorded* if no record tells that."""
    runtime, created = container.runtime, container.created
    since = time.strftime(", %Y-%m-%d %H:%M:%S", time.localtime(created)) if created else ""
    if runtime == "bede run":
        return Fact("put in force", f"by bede run{since}")
    if unrecorded:
        return Fact("put in force", unrecorded)
    return Fact("put in force", f"by the createRuntime hook, run by {runtime or 'its runtime'}{since}")


def _policy(asked: dict[str, str] | None) -> annotation.Policy | None:
    try:
        return annotation.parse(asked)
    except InputError:
        return None  # another version of Bede accepted it


def _resolved(asked: dict[str, str] | None, limit: int | None) -> int | None:
    policy = _policy(asked)
    try:
        return policy.resolve(limit)[0] if policy else None
    except InputError:
        return None  # a percentage of a memory limit that is gone


def _in_force(container: Status, by_node: dict[str, int], asked: int | None) -> Fact:
    text = f"{format_size(container.bound)} of local memory"
    for node, value in by_node.items():
        text += f", {format_size(value)} of it at most on node {node}"
    if asked is not None and asked != container.bound:
        text += (
            f"; {format_size(asked)} was asked for, so it was changed since, by bede set or through its limit"
        )
    return Fact("in force", text)


def _now(container: Status) -> Fact:
    share = 100 * container.local / (container.bound or 1)
    over = f", at most {container.overshoot / MIB:.1f} MiB above it" if container.overshoot else ""
    local, far = (f"{size / MIB:.1f} MiB" for size in (container.local, container.far))
    return Fact("now", f"local {local}, {share:.1f} % of the bound{over}; far {far}")


def _limits(limit: int | None, cgroup_fd: int) -> Fact:
    mems, cpus = (
        fs.read_or(f"cpuset.{what}.effective", "", dir_fd=cgroup_fd).strip() for what in ("mems", "cpus")
    )
    text = f"memory.max {'max' if limit is None else format_size(limit)}, nodes allowed {mems or 'all'}"
    return Fact("beside it", text + (f", CPUs {cpus}" if cpus else ""))
