# SPDX-License-Identifier: Apache-2.0
"""What the kernel has counted of one bound container since its cgroup was made."""

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

#: What ``memory.stat`` calls its counts of demoted pages: kswapd, direct, khugepaged, since 7.3 proactive.
DEMOTED = "pgdemote_"
#: What NUMA balancing moved in all, and what of it came from a far node: counted in its tiering mode only.
MIGRATED, PROMOTED = "numa_pages_migrated", "pgpromote_success"


class Pressure(NamedTuple):
    """``memory.pressure``: how long tasks waited for memory; some of them, or all at once."""

    some: float  #: per cent of the last 10 s
    full: float  #: likewise
    some_us: int  #: microseconds in all
    full_us: int  #: likewise


class Counters(NamedTuple):
    """Counts since the container's cgroup was made, descendants included; None where nobody counts that.

    The kernel brings ``memory.stat`` up to date once 64 pages a CPU have changed, or every two seconds.
    """

    demoted: int | None = None  #: bytes, ``pgdemote_*`` of ``memory.stat``: whoever asked for it
    promoted: int | None = None  #: bytes, of ``memory.stat``: what NUMA balancing brought back
    #: Where there is no lower tier (``migrate``) both are the agent's, since its start: what it has moved.
    steered_bytes: int | None = None  #: placed far at once: ``memory.node_events`` of a patched kernel
    promotion_denied: int | None = None  #: bytes, likewise
    over: int | None = None  #: bytes placed past a limit, likewise
    pressure: Pressure | None = None
    high: int | None = None  #: ``memory.events``: times that ``memory.high`` (Bede's fence) was passed
    max: int | None = None  #: likewise: times that ``memory.max`` was reached
    oom_kill: int | None = None  #: likewise: processes killed
    stalls: int | None = None  #: the agent's: times that nothing could be demoted
    fence_events: int | None = None  #: the agent's: times that a task met the fence, since the agent's start


def read(container: Status) -> Counters | None:
    """The counters of *container* of ``containers.listing()``; None where its cgroup has gone.

    Raises HostError if that cannot be determined.
    """
    cgroup = path.reopen(container.cgroup, container.inode)
    if cgroup is None:
        return None
    with cgroup:
        return of(cgroup, container)


def of(cgroup: Cgroup, container: Status) -> Counters | None:
    """Like :func:`read`, of a container whose *cgroup* is open."""
    stat = _text(cgroup, "memory.stat")
    if not stat:
        return None  # every cgroup has it until it is removed
    counts = keyed(stat)
    events = keyed(_text(cgroup, "memory.events"))
    placed = _node_events(cgroup)
    backend = choose.named(container.backend)
    # Where the agent moves pages the kernel takes all nodes for equal, and counts nothing as demoted.
    moved, held = backend.MOVES_PAGES, backend.NEEDS_AGENT
    return Counters(
        container.demoted if moved else demoted(counts),
        container.promoted if moved else promoted(counts),
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


def demoted(stat: dict[str, int]) -> int | None:
    """Demoted bytes by the counts of ``memory.stat``; None where this kernel has none of it."""
    pages = [count for name, count in stat.items() if name.startswith(DEMOTED)]
    return sum(pages) * host.PAGE if pages else None


def promoted(stat: dict[str, int]) -> int | None:
    """Promoted bytes by the counts of ``memory.stat``; None where nobody counts them.

    The kernel calls it promotion in the tiering mode of NUMA balancing alone (``kernel.numa_balancing`` 2),
    not in the usual one (1), which promotes too. It moves pages to nodes with processors: where that is
    one node, all that it moved was promoted. Where there are several, some of it went from one to
    another.
    """
    counted = PROMOTED
    if _one_near():
        counted = MIGRATED if MIGRATED in stat else PROMOTED
    elif not (host.balancing() or 0) & host.TIERING:
        return None
    return stat[counted] * host.PAGE if counted in stat else None


@functools.cache
def _one_near() -> bool:
    with_cpu = set(nodes.read_list(f"{host.NODES}/has_cpu"))
    return len(with_cpu.intersection(nodes.with_memory())) == 1


def pressure(text: str) -> Pressure | None:
    """The text of ``memory.pressure``; None where the kernel keeps no account of it."""
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
    """A flat keyed file such as ``memory.events``; what is no number is left out."""
    pairs = (line.partition(" ")[::2] for line in text.splitlines())
    return {name: number for name, value in pairs if (number := fs.number(value)) is not None}


def _text(cgroup: Cgroup, name: str) -> str:
    return fs.read_or(name, "", dir_fd=cgroup.fd)


def _node_events(cgroup: Cgroup) -> dict[str, int]:
    try:
        return {name: pages * host.PAGE for name, pages in memory.node_events(cgroup.fd).items()}
    except (OSError, HostError):
        return {}  # a stock kernel
