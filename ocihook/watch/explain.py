# SPDX-License-Identifier: Apache-2.0
"""Why a container's bound is what it is: what was asked, what is in force, what another backend would do."""

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
from ocihook.spec import annotation, nodelimit
from ocihook.spec.size import format_size
from ocihook.topology import nodes

BALANCING = "/proc/sys/kernel/numa_balancing"
MIB = 1 << 20


class Fact(NamedTuple):
    """One thing to know, and of what."""

    about: str
    text: str


def explain(container: Status) -> list[Fact]:
    """What there is to know of *container*. Raises InputError when it has ended."""
    cgroup = path.open_below(container.cgroup)
    if cgroup is None:
        raise InputError(f"container {short(container.id)} has ended")
    with cgroup:
        try:
            limit = memory.container_limit(cgroup)
            asked = container.asked or names.annotations_of(container.id, container.cgroup)
            found = [
                _asked(container, asked),
                _origin(container),
                _in_force(container, _resolved(asked, limit)),
            ]
            found += _means(container, cgroup.fd)
            found += [_now(container), _limits(limit, cgroup.fd)]
        except OSError:
            raise InputError(f"container {short(container.id)} has ended") from None
    found.append(_balancing(container))
    found += _otherwise(container)
    return found


def _asked(container: Status, asked: dict[str, str] | None) -> Fact:
    if container.runtime == "bede run":
        return Fact("asked", f"bede run --local {(asked or {}).get(annotation.LOCAL, '')}")
    ours = {name: value for name, value in (asked or {}).items() if name.startswith(annotation.PREFIX)}
    if ours:
        return Fact("asked", ", ".join(f"{name}={value}" for name, value in sorted(ours.items())))
    return Fact("asked", "not known: the kernel keeps limits, not annotations, and its engine does not tell")


def _origin(container: Status) -> Fact:
    """Who put it in force, and when."""
    runtime, created = container.runtime, container.created
    since = time.strftime(", %Y-%m-%d %H:%M:%S", time.localtime(created)) if created else ""
    if runtime == "bede run":
        return Fact("put in force", f"by bede run{since}")
    if container.backend == choose.NODE_LIMIT:
        return Fact(
            "put in force", "by the runtime at its start (bede-runtime), or by the createRuntime hook"
        )
    return Fact("put in force", f"by the createRuntime hook, run by {runtime or 'its runtime'}{since}")


def _resolved(asked: dict[str, str] | None, limit: int | None) -> int | None:
    try:
        policy = annotation.parse(asked)
        return policy.resolve(limit)[0] if policy else None
    except InputError:
        return None  # a share, of a limit that has gone


def _in_force(container: Status, asked: int | None) -> Fact:
    text = f"{format_size(container.bound)} of local memory"
    own = {node: value for node, value in container.nodes.items() if container.backend != choose.NODE_LIMIT}
    if own:
        text += "".join(f", {format_size(value)} of it at most on node {node}" for node, value in own.items())
    if asked is not None and asked != container.bound:
        text += (
            f"; {format_size(asked)} was asked for, so it was changed since, by bede set or through its limit"
        )
    return Fact("in force", text)


def _means(container: Status, cgroup_fd: int) -> list[Fact]:
    """By which files it is held; read from the kernel. Raises OSError."""
    if container.backend == choose.NODE_LIMIT:
        text = fs.read(nodelimit.NAME, dir_fd=cgroup_fd).strip()
        return [Fact("held by", f"the kernel: {nodelimit.NAME} is {text}")]
    high = memory.high(cgroup_fd)
    fence = f"the fence, memory.high (now {'max' if high is None else f'{high / MIB:.1f} MiB'})"
    if container.backend == choose.MIGRATE:
        found = [Fact("held by", _steering(container, cgroup_fd, fence))]
    else:
        found = [Fact("held by", f"{fence}, which follows what is far, and the agent")]
    if container.user_high:
        found.append(Fact("memory.high", f"its user's own is {format_size(container.user_high)}, and counts"))
    if container.backend == choose.MIGRATE:
        found += _moving(container)
    if container.stalled:
        what = "moved" if container.backend == choose.MIGRATE else "demoted"
        why = "far memory is full, or pages are locked"
        if container.backend == choose.MIGRATE:
            why = "far memory is full, or it is page cache that is not mapped"
            why += ", or where its programs want it" if container.program_bound else ""
        found.append(Fact("stalled", f"nothing of it can be {what} now: {why}"))
    return found


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


def _moving(container: Status) -> list[Fact]:
    used = container.mover_us / 1e6
    demoted, promoted = (container.demoted or 0) / MIB, (container.promoted or 0) / MIB
    text = f"{demoted:.1f} MiB demoted and {promoted:.1f} MiB promoted in {used:.2f} s of processor time"
    found = [Fact("moved", f"{text}, since the agent holds it")]
    if container.program_bound:
        found.append(
            Fact(
                "own",
                f"{min(container.program_bound, container.local) / MIB:.1f} MiB of it are where its programs"
                " asked for by a policy of their own (numactl, mbind): left there, counted, and bound by"
                " themselves",
            )
        )
    return found


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


def _balancing(container: Status) -> Fact:
    on = (fs.number(fs.read_or(BALANCING, "0").strip()) or 0) != 0
    if container.backend == choose.MIGRATE:
        text = "the agent promotes where there is room"
        if container.steered:
            text += ", and puts what is hot and far in place of what is cold and local"
        elif on:
            text += "; NUMA balancing promotes what is used and knows no bound"
        return Fact("promotion", text)
    if not on:
        return Fact(
            "promotion", "NUMA balancing is off: what is far stays far until it is freed or used anew"
        )
    if container.backend == choose.NODE_LIMIT:
        return Fact("promotion", "NUMA balancing promotes what is used, up to the bound")
    return Fact(
        "promotion", "NUMA balancing promotes what is used and knows no bound; the agent demotes after it"
    )


def _otherwise(container: Status) -> list[Fact]:
    try:
        settings = config.load()
    except BedeError:
        settings = config.Config()
    if container.backend == choose.NODE_LIMIT:
        return [Fact("elsewhere", f"on a stock kernel {_on_stock(settings)}")]
    try:
        local = nodes.find(settings.far_nodes).local
    except BedeError:
        local = (0,)
    own = {int(node): value for node, value in container.nodes.items()}
    limits = nodelimit.dump(nodelimit.split(container.bound, local, own))
    text = (
        f"on a kernel with Bede's patches the same annotation becomes {nodelimit.NAME} = {limits}:"
        " what does not fit is allocated far at once, memory.high stays its user's, promotion stops"
        " at the bound, and "
    )
    if container.backend == choose.TIER:
        return [Fact("elsewhere", f"{text}neither a lower tier nor the agent is needed")]
    text += "neither steering nor the agent is needed"
    return [
        Fact(
            "elsewhere",
            f"{text}; with far nodes that the firmware calls slower, the kernel itself would demote, also"
            " page cache that is not mapped",
        )
    ]


def _on_stock(settings: config.Config) -> str:
    """How the bound of a patched kernel could be held without the patches."""
    if choose.stock(settings) == choose.MIGRATE:
        return (
            "the bound could be held here too, by steering and moving: the runtime would give its processes"
            " a policy, the agent would move pages, and page cache that is not mapped would stay where it is"
        )
    can = (
        "here too, by the fence" if len(nodes.tier_lists()) > 1 else "not on these nodes, which are one tier"
    )
    return (
        f"the bound could be held {can}: memory.high would be Bede's and move, the agent would demote ahead"
        " of it, and bursts could pass the bound for moments"
    )
