# SPDX-License-Identifier: Apache-2.0
"""The kernel's counts for one bound container since its cgroup was made."""

from __future__ import annotations

import functools
from typing import NamedTuple

from ocihook import fs, host
from ocihook.backends import choose
from ocihook.cgroup import memory, path
from ocihook.cgroup.path import Cgroup
from ocihook.control.status import Status
from ocihook.errors import HostError
from ocihook.topology import nodes

#: prefix of the counts of demoted pages in ``memory.stat``: kswapd, direct, khugepaged, since 7.3 proactive
DEMOTED = "pgdemote_"
#: pages that NUMA balancing moved in total, and those from a far node (only counted in its tiering mode)
MIGRATED, PROMOTED = "numa_pages_migrated", "pgpromote_success"


class Pressure(NamedTuple):
    """``memory.pressure``: how long tasks waited for memory: some of them, or all at once (full)."""

    some: float  #: per cent of the last 10 s
    full: float  #: per cent of the last 10 s
    some_us: int  #: microseconds in total
    full_us: int  #: microseconds in total


class Counters(NamedTuple):
    """Counts since the container's cgroup was made, descendants included; None for what is not counted.

    The kernel updates ``memory.stat`` after 64 changed pages for each CPU, or every two seconds.
    """

    #: bytes, by ``memory.stat`` and the agent: demoted for any reason, and promoted. With ``migrate``,
    #: which has no lower tier: bytes that the agent has moved since its start.
    demoted: int | None = None
    promoted: int | None = None
    steered_bytes: int | None = None  #: allocated far directly: ``memory.node_events`` of a patched kernel
    #: bytes that were not promoted because of a limit, from the same file
    promotion_denied: int | None = None
    over: int | None = None  #: bytes allocated past a limit, from the same file
    pressure: Pressure | None = None
    high: int | None = None  #: ``memory.events``: times that ``memory.high`` (Bede's fence) was exceeded
    max: int | None = None  #: ``memory.events``: times that ``memory.max`` was reached
    oom_kill: int | None = None  #: ``memory.events``: processes killed for lack of memory
    stalls: int | None = None  #: the agent's count: times that nothing could be demoted
    #: the agent's count since it began to hold the container: times that a change of ``memory.events`` woke
    #: the holder, mostly because a task exceeded the fence
    fence_events: int | None = None


def read(container: Status) -> Counters | None:
    """Return the counters of *container*, one of ``containers.listing()``; None if its cgroup is gone.

    Raises HostError if that cannot be determined.
    """
    cgroup = path.reopen(container.cgroup, container.inode)
    if cgroup is None:
        return None
    with cgroup:
        return of(cgroup, container)


def of(cgroup: Cgroup, container: Status) -> Counters | None:
    """Return the counters like :func:`read`, for a container whose *cgroup* is open."""
    stat = _text(cgroup, "memory.stat")
    if not stat:
        return None  # every cgroup has this file, so the cgroup was removed
    counts = keyed(stat)
    events = keyed(_text(cgroup, "memory.events"))
    placed = _node_events(cgroup)
    backend = choose.named(container.backend)
    # If the agent moves pages, all nodes are in one tier for the kernel, which then counts no demotions.
    moved, held = backend.MOVES_PAGES, backend.NEEDS_AGENT
    return Counters(
        container.demoted if moved else _plus(demoted(counts), container.exchanged),
        container.promoted if moved else _plus(promoted(counts), (container.promoted or 0) if held else 0),
        placed.get("steered"),
        placed.get("promotion_denied"),
        placed.get("over"),
        pressure(_text(cgroup, "memory.pressure")),
        events.get("high"),
        events.get("max"),
        events.get("oom_kill"),
        container.stalls if held else None,
        container.fence_events if held else None,
    )


def _plus(counted: int | None, more: int) -> int | None:
    """Return what the kernel *counted*, and what the agent has moved besides."""
    return counted if counted is None and not more else (counted or 0) + more


def demoted(stat: dict[str, int]) -> int | None:
    """Return the demoted bytes by the counts of ``memory.stat``; None if this kernel has no such counts."""
    pages = [count for name, count in stat.items() if name.startswith(DEMOTED)]
    return sum(pages) * host.PAGE if pages else None


def promoted(stat: dict[str, int]) -> int | None:
    """Return the promoted bytes by the counts of ``memory.stat``; None if they are not counted.

    The kernel counts promotions only in the tiering mode of NUMA balancing (``kernel.numa_balancing`` 2), not
    in the usual mode (1), which promotes as well. It moves pages to nodes with CPUs. So if only one node has
    CPUs, every page that it moved was promoted; if several have CPUs, some pages went from one of these to
    another.
    """
    counted = PROMOTED
    if _one_local_cpu_node():
        counted = MIGRATED if MIGRATED in stat else PROMOTED
    elif not (host.balancing() or 0) & host.TIERING:
        return None
    return stat[counted] * host.PAGE if counted in stat else None


@functools.cache
def _one_local_cpu_node() -> bool:
    with_cpu = set(nodes.read_list(f"{host.NODES}/has_cpu"))
    return len(with_cpu.intersection(nodes.with_memory())) == 1


def pressure(text: str) -> Pressure | None:
    """Return the figures in the text of ``memory.pressure``; None if the kernel does not account it."""
    found: dict[str, tuple[float, int]] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        fields = dict(field.partition("=")[::2] for field in rest.split())
        try:
            found[name] = (float(fields["avg10"]), int(fields["total"]))
        except (KeyError, ValueError):
            return None
    if "some" not in found:
        return None
    some, full = found["some"], found.get("full", (0.0, 0))
    return Pressure(some[0], full[0], some[1], full[1])


def keyed(text: str) -> dict[str, int]:
    """Return the numbers of a flat keyed file such as ``memory.events``; other values are left out."""
    pairs = (line.partition(" ")[::2] for line in text.splitlines())
    return {name: number for name, value in pairs if (number := fs.number(value)) is not None}


def _text(cgroup: Cgroup, name: str) -> str:
    return fs.read_or(name, "", dir_fd=cgroup.fd)


def _node_events(cgroup: Cgroup) -> dict[str, int]:
    try:
        return {name: pages * host.PAGE for name, pages in memory.node_events(cgroup.fd).items()}
    except (OSError, HostError):
        return {}  # a stock kernel
