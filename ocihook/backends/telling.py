# SPDX-License-Identifier: Apache-2.0
"""Messages that several backends share.

Sources: Documentation/admin-guide/mm/damon/usage.rst, Documentation/admin-guide/sysctl/kernel.rst,
Documentation/ABI/testing/sysfs-bus-event_source-devices-events.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ocihook import host
from ocihook.backends import balancing
from ocihook.config import Config
from ocihook.control.status import Status
from ocihook.finding import GOOD, NOTE, WARN, Finding
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

DAMON = "/sys/kernel/mm/damon/admin/kdamonds"
MODULES = "/sys/module"
PMUS = "/sys/bus/event_source/devices"
PARANOID = "/proc/sys/kernel/perf_event_paranoid"
#: What a PMU has that samples accesses to memory, Intel's and AMD's (native/pmu.c).
_SAMPLERS = ("cpu/events/mem-loads", "ibs_op/format/l3missonly")
_MOST_PARANOID = 2  #: beyond that the kernel wants CAP_SYS_ADMIN, which the agent does not have
#: DAMON's modules that block other users while they are on. The third such module, damon_stat, is missing
#: here because the agent pauses it (native/damon.c).
_ALONE = ("damon_reclaim", "damon_lru_sort")
_OURS = 2000000011  # the value of update_us that marks the agent's own instances (native/damon.c)
NO_PROMOTION = "NUMA balancing is off: what is far stays far until it is freed or used anew"


def far_words(tiers: Tiers) -> str:
    """Return how much far memory can be had for demotion, in words."""
    free, total = nodes.room(tiers.far)
    return f"{free >> 20} of {total >> 20} MiB of far memory can be had"


def placement(container: Status) -> list[tuple[str, str]]:
    """Return the row of `bede explain` about how good the placement is; none if nobody has measured it."""
    if container.hits_local is None or container.hits_best is None:
        return []
    local, best = container.hits_local, container.hits_best
    return [
        (
            "placement",
            f"{local:.0%} of what is in use is local; with the best pages local, {best:.0%} would be",
        )
    ]


def no_balancing(mode: int | None, settings: Config | None = None) -> Finding:
    """Return the finding that the kernel promotes nothing, and whether by *settings* the agent does.

    NUMA balancing is off (*mode* 0), or this kernel has none (*mode* None).
    """
    text = "this kernel has no NUMA balancing" if mode is None else "off"
    if settings is not None and balancing.by_agent(settings):
        return Finding("memory", "balancing", GOOD, f"{text}; the agent promotes")
    return Finding("memory", "balancing", NOTE, f"{text}: what became hot on a far node stays there")


def heat() -> Iterator[Finding]:
    """Yield findings about the ways in which the agent can tell cold pages from hot ones."""
    yield _damon()
    if any(os.path.exists(host.path(f"{PMUS}/{one}")) for one in _SAMPLERS):
        yield _samples()


def _samples() -> Finding:
    level = host.number(PARANOID)
    if level is None or level <= _MOST_PARANOID:  # negative levels allow more, and are no numbers here
        return Finding("memory", "samples", GOOD, "of memory accesses may be taken, for large processes")
    return Finding(
        "memory",
        "samples",
        NOTE,
        f"hot pages that lie scattered in large processes are not found: perf_event_paranoid is {level}",
        f"sysctl kernel.perf_event_paranoid={_MOST_PARANOID}, if users may measure; then restart the agent",
    )


def _damon() -> Finding:
    """Return the finding whether the agent can tell cold pages from hot ones."""
    otherwise = "without BPF, or in large processes, cold is not told from hot"
    if not os.path.exists(host.path(f"{DAMON}/nr_kdamonds")):
        return Finding(
            "memory",
            "damon",
            WARN,
            f"this kernel has none: {otherwise}",
            "Boot one with CONFIG_DAMON_SYSFS and CONFIG_DAMON_VADDR",
        )
    if os.geteuid() != 0:
        return Finding("memory", "damon", NOTE, "there; whether somebody else uses it, only root sees")
    mine = f"{DAMON}/0/contexts/0/monitoring_attrs/intervals/update_us"
    user = next((name for name in _ALONE if _is_on(name)), "")
    if not user and host.number(f"{DAMON}/nr_kdamonds"):
        user = "" if host.number(mine) == _OURS else "somebody else"
    if user:
        return Finding(
            "memory", "damon", WARN, f"used by {user}: {otherwise}", "End what else uses /sys/kernel/mm/damon"
        )
    return Finding("memory", "damon", GOOD, "tells the agent what is cold and what is hot")


def _is_on(module: str) -> bool:
    return host.read(f"{MODULES}/{module}/parameters/enabled").strip() == "Y"
