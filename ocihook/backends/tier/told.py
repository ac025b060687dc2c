# SPDX-License-Identifier: Apache-2.0
"""What `bede doctor`, `bede explain` and the agent's journal say about ``tier``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocihook import config, fs, host
from ocihook.backends import balancing, choose, telling
from ocihook.backends.backend import Explanation
from ocihook.cgroup import memory
from ocihook.config import Config
from ocihook.control.status import Status
from ocihook.errors import AgentError, BedeError
from ocihook.finding import BAD, GOOD, NOTE, ROOT, WARN, Finding
from ocihook.spec.size import format_size
from ocihook.state import user
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

if TYPE_CHECKING:
    from ocihook.native import Stats  # the extension may be missing where people are told so

MIB = 1 << 20
HUGE = "/sys/kernel/mm/transparent_hugepage"


def examine() -> Iterator[Finding]:
    """Yield findings about demotion, the LRU, huge pages, NUMA balancing, and what tells hot pages."""
    yield _demotion()
    yield _generations()
    yield from huge_pages()
    settings = _settings()
    yield _balancing(settings)
    if settings.promotion == "bede":
        yield from telling.heat()


def troubles(tiers: Tiers, stats: Stats) -> Iterator[tuple[str, BedeError]]:
    """Yield the report that the container stays above its bound."""
    if stats.stalled:
        yield (
            "stalled",
            AgentError(
                f"it is above its bound, since nothing of it can be demoted ({telling.far_words(tiers)})",
                "Free far memory, or unlock what the container has locked",
            ),
        )


def explain(container: Status, cgroup_fd: int, settings: Config) -> Explanation:
    """Return how the fence and the agent hold the container. Raises OSError."""
    found = [("held by", f"{fence(cgroup_fd)}, which follows what is far, and the agent")]
    found += user_high(container)
    if container.exchanged:
        used, vain = container.mover_us / 1e6, container.vain / (container.exchanged * 2)
        size = f"{container.exchanged / MIB:.1f} MiB"
        text = f"{size} in {used:.2f} s of processor time, {vain:.0%} of it in vain"
        found.append(("exchanged", text))
    found += telling.placement(container)
    if container.stalled:
        found.append(("stalled", "nothing of it can be demoted now: far memory is full, or pages are locked"))
    out = host.balancing() and balancing.is_out(cgroup_fd)
    if balancing.by_agent(settings):
        promotion = "the agent exchanges hot far pages for cold local ones, within the bound"
        if host.balancing():
            promotion += "; it is kept out of NUMA balancing" if out else "; NUMA balancing promotes as well"
    elif out:
        promotion = "nobody: it is kept out of NUMA balancing (promotion: none in the configuration)"
    elif host.balancing():
        promotion = "NUMA balancing promotes what is used and knows no bound; the agent demotes after it"
    else:
        promotion = telling.NO_PROMOTION
    patched = choose.named("node_limit").alternative(container, settings)
    elsewhere = f"{patched}neither a lower tier nor the agent is needed"
    return Explanation("", container.nodes, found, promotion, elsewhere)


def alternative() -> str:
    """Return, in words, how this backend would hold a bound that a patched kernel holds."""
    can = (
        "here too, by the fence" if len(nodes.tier_lists()) > 1 else "not on these nodes, which are one tier"
    )
    return (
        f"the bound could be held {can}: memory.high would be Bede's and move, the agent would demote ahead"
        " of it, and bursts could pass the bound for moments"
    )


def fence(cgroup_fd: int) -> str:
    """Return the words for the fence as it is now. Raises OSError."""
    high = memory.high(cgroup_fd)
    return f"the fence, memory.high (now {'max' if high is None else f'{high / MIB:.1f} MiB'})"


def user_high(container: Status) -> list[tuple[str, str]]:
    """Return the fact that the user has set a ``memory.high``; an empty list if not."""
    if not container.user_high:
        return []
    return [("memory.high", f"its user's own is {format_size(container.user_high)}, and counts")]


def huge_pages() -> Iterator[Finding]:
    """Yield a finding where huge pages can pass the fence: where the kernel may not reclaim for them.

    Sources: vma_thp_gfp_mask() in mm/huge_memory.c, try_charge_memcg() in mm/memcontrol.c,
    Documentation/admin-guide/mm/transhuge.rst.
    """
    enabled, defrag = (_chosen(host.read(f"{HUGE}/{name}")) for name in ("enabled", "defrag"))
    asked = ("always",) if enabled == "always" else ("always", "madvise", "defer+madvise")
    if enabled in ("", "never"):
        return
    if defrag in asked:
        yield Finding("memory", "huge pages", GOOD, "the kernel makes room before it allocates them")
        return
    yield Finding(
        "memory",
        "huge pages",
        NOTE,
        "those that one call allocates, as mmap with MAP_POPULATE, can pass the bound for a moment",
        f"echo always > {HUGE}/defrag, if page faults may wait for huge pages; or madvise > {HUGE}/enabled",
    )


def _demotion() -> Finding:
    enabled = nodes.demotion_enabled()
    if enabled is None:
        return Finding(
            "memory", "demotion", BAD, "this kernel cannot demote", "Boot one with memory tiers, 6.1 or later"
        )
    if enabled:
        return Finding("memory", "demotion", GOOD, "on: reclaim demotes instead of dropping or swapping")
    if os.geteuid() != 0:
        return Finding(
            "memory",
            "demotion",
            ROOT,
            "demotion is off, and only root can turn it on: containers of your own cannot be bound",
            "Let root run bede doctor --fix",
        )
    return Finding(
        "memory",
        "demotion",
        NOTE,
        "off; the first bound container of root's turns it on",
        f"Write 1 to {host.DEMOTION}",
        nodes.enable_demotion,
    )


def _generations() -> Finding:
    """Return the finding whether the agent can demote ahead of the fence, coldest pages first."""
    enabled = host.generations()
    if enabled is None:
        return Finding(
            "memory",
            "lru_gen",
            WARN,
            "this kernel has no multi-generational LRU: the fence alone holds, at a higher price",
            "Boot a kernel with CONFIG_LRU_GEN",
        )
    if not enabled:
        return Finding(
            "memory",
            "lru_gen",
            WARN,
            "off: the agent moves pages itself, which costs more",
            f"Write y to {host.LRU_GEN_ENABLED}",
            lambda: fs.write(host.path(host.LRU_GEN_ENABLED), "y"),
        )
    if os.geteuid() != 0:
        return Finding("memory", "lru_gen", NOTE, "on; whether its debugfs file can be used, only root sees")
    try:
        os.close(os.open(host.path(host.LRU_GEN), os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Finding(
            "memory",
            "lru_gen",
            WARN,
            f"{host.LRU_GEN} cannot be used ({error.strerror}): the agent moves pages itself",
            "Mount debugfs on /sys/kernel/debug, without kernel lockdown",
        )
    return Finding("memory", "lru_gen", GOOD, "on, and its debugfs file can be used")


def _chosen(text: str) -> str:
    """Return the word in brackets, or nothing."""
    return text.partition("[")[2].partition("]")[0]


def _balancing(settings: Config) -> Finding:
    mode = host.balancing()
    if not mode:
        return telling.no_balancing(mode, settings)
    if _is_wanted(settings):
        return Finding("memory", "balancing", GOOD, f"mode {mode}, which leaves bound containers alone")
    several = settings.promotion != "balancing" and user.uid_outside() is None
    why = ", since several local nodes have CPUs" if several else ""
    if mode & host.TIERING:
        return Finding(
            "memory",
            "balancing",
            WARN,
            f"mode {mode} promotes all that is hot{why}, whatever the bounds; the agent demotes it again",
            "sysctl kernel.numa_balancing=1 or 0",
        )
    text = f"mode {mode}: promotes what is used{why}, so a bound can be passed for moments"
    return Finding("memory", "balancing", NOTE, text)


def _settings() -> Config:
    try:
        return config.load()
    except BedeError:
        return Config()


def _is_wanted(settings: Config) -> bool:
    """Return whether bound containers are kept out of NUMA balancing; False if that is not known."""
    try:
        return balancing.is_wanted(settings, nodes.find(settings.far_nodes))
    except BedeError:
        return False
