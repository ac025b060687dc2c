"""Why a container's bound is what it is: what was asked, what is in force, what another backend would do."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from ocihook import config, fs
from ocihook.backends import choose
from ocihook.cgroup import memory, path
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


def explain(one: dict[str, Any]) -> list[Fact]:
    """What there is to know of *one* of ``containers.listing()``. Raises InputError when it has ended."""
    cgroup = path.open_below(one["cgroup"])
    if cgroup is None:
        raise InputError(f"container {one['id']} has ended")
    with cgroup:
        try:
            limit = memory.container_limit(cgroup)
            asked = one.get("asked") or names.annotations_of(one["id"], one["cgroup"])
            found = [_asked(one, asked), _origin(one), _in_force(one, _resolved(asked, limit))]
            found += _means(one, cgroup.fd)
            found += [_now(one), _limits(limit, cgroup.fd)]
        except OSError:
            raise InputError(f"container {one['id']} has ended") from None
    found.append(_balancing(one))
    found += _otherwise(one)
    return found


def _asked(one: dict[str, Any], asked: dict[str, str] | None) -> Fact:
    if one.get("runtime") == "bede run":
        return Fact("asked", f"bede run --local {(asked or {}).get(annotation.LOCAL, '')}")
    ours = {name: value for name, value in (asked or {}).items() if name.startswith(annotation.PREFIX)}
    if ours:
        return Fact("asked", ", ".join(f"{name}={value}" for name, value in sorted(ours.items())))
    return Fact("asked", "not known: the kernel keeps limits, not annotations, and its engine does not tell")


def _origin(one: dict[str, Any]) -> Fact:
    """Who put it in force, and when."""
    runtime, created = one.get("runtime"), one.get("created")
    since = time.strftime(", %Y-%m-%d %H:%M:%S", time.localtime(created)) if created else ""
    if runtime == "bede run":
        return Fact("put in force", f"by bede run{since}")
    if one["backend"] == choose.NODE_LIMIT:
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


def _in_force(one: dict[str, Any], asked: int | None) -> Fact:
    text = f"{format_size(one['bound'])} of local memory"
    own = {node: value for node, value in one["nodes"].items() if one["backend"] != choose.NODE_LIMIT}
    if own:
        text += "".join(f", {format_size(value)} of it at most on node {node}" for node, value in own.items())
    if asked is not None and asked != one["bound"]:
        text += (
            f"; {format_size(asked)} was asked for, so it was changed since, by bede set or through its limit"
        )
    return Fact("in force", text)


def _means(one: dict[str, Any], cgroup_fd: int) -> list[Fact]:
    """By which files it is held; read from the kernel. Raises OSError."""
    if one["backend"] == choose.NODE_LIMIT:
        text = fs.read(nodelimit.NAME, dir_fd=cgroup_fd).strip()
        return [Fact("held by", f"the kernel: {nodelimit.NAME} is {text}")]
    high = memory.high(cgroup_fd)
    fence = "max" if high is None else f"{high / MIB:.1f} MiB"
    found = [
        Fact("held by", f"the fence, memory.high, which follows what is far (now {fence}), and the agent")
    ]
    if one.get("user_high"):
        found.append(Fact("memory.high", f"its user's own is {format_size(one['user_high'])}, and counts"))
    if one["stalled"]:
        found.append(
            Fact("stalled", "nothing of it can be demoted now: far memory is full, or pages are locked")
        )
    return found


def _now(one: dict[str, Any]) -> Fact:
    share = 100 * one["local"] / (one["bound"] or 1)
    over = f", at most {one['overshoot'] / MIB:.1f} MiB above it" if one["overshoot"] else ""
    local, far = (f"{one[where] / MIB:.1f} MiB" for where in ("local", "far"))
    return Fact("now", f"local {local}, {share:.1f} % of the bound{over}; far {far}")


def _limits(limit: int | None, cgroup_fd: int) -> Fact:
    mems = fs.read_or("cpuset.mems.effective", "", dir_fd=cgroup_fd).strip()
    text = f"memory.max {'max' if limit is None else format_size(limit)}"
    return Fact("beside it", f"{text}, nodes allowed {mems or 'all'}")


def _balancing(one: dict[str, Any]) -> Fact:
    if (fs.number(fs.read_or(BALANCING, "0").strip()) or 0) == 0:
        return Fact(
            "promotion", "NUMA balancing is off: what is far stays far until it is freed or used anew"
        )
    if one["backend"] == choose.NODE_LIMIT:
        return Fact("promotion", "NUMA balancing promotes what is used, up to the bound")
    return Fact(
        "promotion", "NUMA balancing promotes what is used and knows no bound; the agent demotes after it"
    )


def _otherwise(one: dict[str, Any]) -> list[Fact]:
    if one["backend"] != choose.NODE_LIMIT:
        try:
            local = nodes.find(config.load().far_nodes).local
        except BedeError:
            local = (0,)
        own = {int(node): value for node, value in one["nodes"].items()}
        limits = nodelimit.dump(nodelimit.split(one["bound"], local, own))
        return [
            Fact(
                "elsewhere",
                f"on a kernel with Bede's patches the same annotation becomes {nodelimit.NAME} = {limits}:"
                " what does not fit is allocated far at once, memory.high stays its user's, promotion stops"
                " at the bound, and neither a lower tier nor the agent is needed",
            )
        ]
    tiered = len(nodes.tier_lists()) > 1
    can = "here too, by the fence" if tiered else "not on these nodes, which are one tier"
    return [
        Fact(
            "elsewhere",
            f"on a stock kernel the bound could be held {can}: memory.high would be Bede's and move, the"
            " agent would demote ahead of it, and bursts could pass the bound for moments",
        )
    ]
