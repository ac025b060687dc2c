# SPDX-License-Identifier: Apache-2.0
"""What `bede doctor`, `bede explain` and the agent's journal say about ``migrate``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocihook import fs, host
from ocihook.backends import choose, telling
from ocihook.backends.backend import Explanation
from ocihook.backends.migrate import steering
from ocihook.backends.tier import told as fenced
from ocihook.cgroup import path
from ocihook.config import Config
from ocihook.control.status import Status
from ocihook.errors import AgentError, BedeError
from ocihook.finding import GOOD, NOTE, WARN, Finding
from ocihook.state.records import Record
from ocihook.topology import nodes
from ocihook.topology.nodes import Tiers

if TYPE_CHECKING:
    from ocihook.native import Stats  # the extension may be missing where people are told so

MIB = 1 << 20


def examine(tiers: Tiers | None) -> Iterator[Finding]:
    """Yield findings about steering, DAMON, counting, huge pages, NUMA balancing and cpusets."""
    if tiers is not None and steering.mask(nodes.with_memory(), tiers.far) is None:
        yield Finding(
            "memory",
            "steering",
            WARN,
            "no memory policy can switch between all local nodes and the far ones, so pages are only moved",
            f"Name other nodes than {nodes.in_words(tiers.far)} as far_nodes in the configuration",
        )
    if tiers is not None:
        yield from telling.heat()
    yield _counting()
    yield from fenced.huge_pages()
    yield _balancing()
    yield from _controller()


def troubles(record: Record, tiers: Tiers, stats: Stats) -> Iterator[tuple[str, BedeError]]:
    """Yield the reports that the container stays above its bound, or is no longer steered."""
    if stats.stalled:
        yield "stalled", _stalled(tiers, stats)
    if steering.HOME in record.cpuset and stats.rounds and not stats.steered:
        yield (
            "not_steered",
            AgentError(
                "Bede no longer steers where it allocates, and only moves its pages: its cpuset was changed,"
                " or nodes came or went",
                "Start the container again",
            ),
        )


def explain(container: Status, cgroup_fd: int, config: Config) -> Explanation:
    """Return how steering and moving hold the container. Raises OSError."""
    found = [("held by", _steering(container, cgroup_fd, fenced.fence(cgroup_fd)))]
    found += fenced.user_high(container)
    found += _moving(container)
    if container.stalled:
        why = "far memory is full, or it is page cache that is not mapped"
        why += ", or where its programs want it" if container.program_bound else ""
        found.append(("stalled", f"nothing of it can be moved now: {why}"))
    patched = choose.named("node_limit").alternative(container, config)
    elsewhere = (
        f"{patched}neither steering nor the agent is needed; with far nodes that the"
        " firmware calls slower, the kernel itself would demote, also page cache that is not mapped"
    )
    return Explanation("", container.nodes, found, _promotion(container), elsewhere)


def alternative() -> str:
    """Return, in words, how this backend would hold a bound that a patched kernel holds."""
    return (
        "the bound could be held here too, by steering and moving: the runtime would give its processes"
        " a policy, the agent would move pages, and page cache that is not mapped would stay where it is"
    )


def _promotion(container: Status) -> str:
    text = "the agent promotes where there is room"
    if container.steered:
        return text + ", and puts what is hot and far in place of what is cold and local"
    if host.balancing():
        return text + "; NUMA balancing promotes what is used and knows no bound"
    return text


def _steering(container: Status, cgroup_fd: int, fence: str) -> str:
    if not container.steered:
        return (
            f"{fence}, and the agent, which moves its pages; it is not steered, for it ran already, its user"
            " has chosen its nodes, or no policy fits them"
        )
    mems = fs.read_or("cpuset.mems", "", dir_fd=cgroup_fd).strip()
    if container.away:
        return (
            f"steering and moving: what it allocates is far now (cpuset.mems {mems}), and the agent moves"
            " its pages to keep local usage at the bound"
        )
    return (
        f"steering and moving: what it allocates is local now (cpuset.mems {mems}), and goes far near the"
        f" bound; until then {fence}"
    )


def _moving(container: Status) -> list[tuple[str, str]]:
    used = container.mover_us / 1e6
    demoted, promoted = (container.demoted or 0) / MIB, (container.promoted or 0) / MIB
    text = f"{demoted:.1f} MiB demoted and {promoted:.1f} MiB promoted in {used:.2f} s of processor time"
    found = [("moved", f"{text}, since the agent holds it"), *telling.placement(container)]
    if container.program_bound:
        found.append(
            (
                "own",
                f"{min(container.program_bound, container.local) / MIB:.1f} MiB of it are where its programs"
                " asked for by a policy of their own (numactl, mbind): left there, counted, and bound by"
                " themselves",
            )
        )
    return found


def _stalled(tiers: Tiers, stats: Stats) -> AgentError:
    placed = stats.program_bound
    if placed and placed >= (stats.local - stats.bound) // 2:
        return AgentError(
            f"it is above its bound: {placed >> 20} MiB are where its programs bind them by policies of"
            " their own (numactl, mbind), and stay there",
            "Let its programs leave that to Bede, or give it a higher bound",
        )
    full = nodes.room(tiers.far)[0] < stats.local - stats.bound
    return AgentError(
        f"it is above its bound, since its pages cannot be moved ({telling.far_words(tiers)})",
        "Free far memory"
        if full
        else "To drop page cache that no process has mapped, write an amount to its memory.reclaim",
    )


def _balancing() -> Finding:
    mode = host.balancing()
    if mode is None:
        return telling.no_balancing(mode)
    what = "off" if mode == 0 else f"mode {mode}: leaves memory with the policy that steers alone"
    return Finding("memory", "balancing", GOOD, f"{what}; the agent promotes")


def _controller() -> Iterator[Finding]:
    try:
        mount = path.mount_point()
    except BedeError:
        return  # a finding about the host says so already
    where = path.of_user(mount)
    if "cpuset" not in fs.read_or(f"{where}/cgroup.controllers", "").split():
        yield Finding(
            "cgroup",
            "cpuset",
            WARN,
            f"{where} has no cpuset controller: allocation is not steered, pages are only moved",
            "Leave cpuset to cgroup v2: end what has mounted it as v1",
        )


def _counting() -> Finding:
    """Return the finding whether usage can be counted without delay."""
    enabled = host.generations()
    behind = "usage can be two seconds old where a container has cgroups of its own"
    if enabled is None:
        return Finding("memory", "lru_gen", NOTE, f"this kernel has none: {behind}")
    if not enabled:
        return Finding(
            "memory",
            "lru_gen",
            NOTE,
            f"off: {behind}",
            f"Write y to {host.LRU_GEN_ENABLED}",
            lambda: fs.write(host.path(host.LRU_GEN_ENABLED), "y"),
        )
    if os.geteuid() == 0:
        try:
            os.close(os.open(host.path(host.LRU_GEN), os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            return Finding(
                "memory", "lru_gen", NOTE, f"{host.LRU_GEN} cannot be used ({error.strerror}): {behind}"
            )
    return Finding("memory", "lru_gen", GOOD, "on: usage is counted without delay")
