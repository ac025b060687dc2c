# SPDX-License-Identifier: Apache-2.0
"""What the model counted, from one mark to the next.

A mark is a moment that a program in the machine names to the model (mark.h). It has nothing to do with the
mark that Bede puts on a cgroup.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocihook.errors import MachineError

WHOLE = "(all)"  #: the name of the whole machine among the cgroups
NAMELESS = "(none)"  #: what ran in no cgroup that was known
#: Lines of /proc/vmstat that count pages, once each, when they come to another node.
DEMOTED = ("pgdemote_kswapd", "pgdemote_direct", "pgdemote_khugepaged", "pgdemote_proactive")
PROMOTED = ("pgpromote_success",)
MOVED = ("pgmigrate_success",)


@dataclass(frozen=True)
class Counts:
    """Sums. *time* is picoseconds of CPU time; *user*, *kernel* and *streamed* are misses of the last level
    cache by memory node: by programs, by the kernel, and those of both that a prefetcher had fetched."""

    instructions: int = 0
    time: int = 0
    private_misses: int = 0
    shared_hits: int = 0
    user: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()
    streamed: tuple[int, ...] = ()

    def combined(self, other: "Counts", sign: int = 1) -> "Counts":
        """The sum, or with *sign* -1 the difference."""
        return Counts(
            self.instructions + sign * other.instructions,
            self.time + sign * other.time,
            self.private_misses + sign * other.private_misses,
            self.shared_hits + sign * other.shared_hits,
            _combined(self.user, other.user, sign),
            _combined(self.kernel, other.kernel, sign),
            _combined(self.streamed, other.streamed, sign),
        )

    def misses(self) -> tuple[int, ...]:
        """All misses, by node."""
        return _combined(self.user, self.kernel, 1)

    def local_share(self, far: frozenset[int]) -> float | None:
        """The share of misses that no far node served; None if nothing missed."""
        misses = self.misses()
        total = sum(misses)
        return sum(n for node, n in enumerate(misses) if node not in far) / total if total else None


@dataclass(frozen=True)
class Mark:
    """All counters at one moment. *clocks*: each CPU's, in picoseconds; *cgroups*: path → counts;
    *vmstat*: lines of /proc/vmstat, if the mark came with them."""

    label: str
    clocks: tuple[int, ...]
    cgroups: dict[str, Counts]
    vmstat: dict[str, int] = field(default_factory=dict)

    def since(self, earlier: "Mark | None", vmstat: dict[str, int]) -> "Interval":
        """What happened between *earlier*, or the beginning, and now.

        *vmstat* is of the last mark that came with some, since which the pages are counted.
        """
        before = earlier or Mark("", (), {})
        cgroups = {
            path: counts.combined(before.cgroups.get(path, Counts()), -1)
            for path, counts in self.cgroups.items()
        }
        moved = {name: value - vmstat[name] for name, value in self.vmstat.items() if name in vmstat}
        elapsed = max(self.clocks, default=0) - max(before.clocks, default=0)
        return Interval(self.label, elapsed, cgroups, moved)


@dataclass(frozen=True)
class Interval:
    """The time that ends with the mark *label*. *elapsed*: picoseconds in which any CPU ran.

    *vmstat* grew since the last mark that came with some, as marks of `bede-mark` do.
    """

    label: str
    elapsed: int
    cgroups: dict[str, Counts]
    vmstat: dict[str, int]

    def moved(self, names: tuple[str, ...]) -> int | None:
        """Pages that were moved; None if no mark counted them."""
        found = [self.vmstat[name] for name in names if name in self.vmstat]
        return sum(found) if found else None

    def data(self, far: frozenset[int]) -> dict[str, Any]:
        """As the report's JSON has it."""
        return {
            "label": self.label,
            "elapsed_ms": self.elapsed / 1e9,
            "pages": {
                "moved": self.moved(MOVED),
                "demoted": self.moved(DEMOTED),
                "promoted": self.moved(PROMOTED),
            },
            "cgroups": {path: _data(counts, far) for path, counts in self.cgroups.items()},
        }

    def line(self, far: frozenset[int]) -> str:
        """For people."""
        whole = self.cgroups[WHOLE]
        share = whole.local_share(far)
        text = f"{self.label}: {whole.time / 1e9:.1f} ms of modelled CPU time, {sum(whole.misses()):,} misses"
        text += "" if share is None else f", {100 * share:.1f} % of them local"
        moved = self.moved(MOVED)
        return text + ("" if moved is None else f", {moved:,} pages moved")


def _combined(a: tuple[int, ...], b: tuple[int, ...], sign: int) -> tuple[int, ...]:
    length = max(len(a), len(b))
    a, b = (each + (0,) * (length - len(each)) for each in (a, b))
    return tuple(x + sign * y for x, y in zip(a, b, strict=True))


def _data(counts: Counts, far: frozenset[int]) -> dict[str, Any]:
    return {
        "instructions": counts.instructions,
        "cpu_ms": counts.time / 1e9,
        "private_misses": counts.private_misses,
        "shared_hits": counts.shared_hits,
        "user_misses": list(counts.user),
        "kernel_misses": list(counts.kernel),
        "streamed": list(counts.streamed),
        "local_share": counts.local_share(far),
    }


def read(path: Path) -> list[Mark]:
    """The marks in the file that the plugin wrote, in their order."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    try:
        data = [json.loads(line) for line in lines]
        facts = [_facts(each["text"]) for each in data]
        # A cgroup that a later mark names is the same one at the marks before.
        names = {number: path for each in facts for number, path in each.cgroups.items()}
        return [_mark(each, fact, names) for each, fact in zip(data, facts, strict=True)]
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise MachineError(f"the model wrote what is no report: {exc!r}") from None


@dataclass(frozen=True)
class _Facts:
    """What the guest sent along with a mark."""

    label: str
    vmstat: dict[str, int]
    cgroups: dict[int, str]  #: number of the directory → path


def _facts(text: str) -> _Facts:
    label, _, rest = text.partition("\n")
    vmstat, cgroups = {}, {}
    for line in rest.splitlines():
        kind, _, fact = line.partition(" ")
        name, _, number = fact.rpartition(" ")
        if kind == "vmstat":
            vmstat[name] = int(number)
        elif kind == "cgroup":
            cgroups[int(number)] = name
    return _Facts(label, vmstat, cgroups)


def _mark(data: dict[str, Any], facts: _Facts, names: dict[int, str]) -> Mark:
    cgroups = {WHOLE: Counts()}
    for group in data["groups"]:
        counts = Counts(
            group["instructions"],
            group["time"],
            group["private_misses"],
            group["shared_hits"],
            tuple(group["user"]),
            tuple(group["kernel"]),
            tuple(group["streamed"]),
        )
        name = names.get(group["id"], f"#{group['id']}") if group["id"] else NAMELESS
        for path in (WHOLE, name):
            cgroups[path] = cgroups.get(path, Counts()).combined(counts)
    return Mark(facts.label, tuple(data["clocks"]), cgroups, facts.vmstat)


def intervals(marks: list[Mark]) -> list[Interval]:
    """From each mark to the next."""
    found: list[Interval] = []
    vmstat: dict[str, int] = {}
    for i, mark in enumerate(marks):
        found.append(mark.since(marks[i - 1] if i else None, vmstat))
        vmstat = mark.vmstat or vmstat
    return found


def whole(marks: list[Mark], profile: str, far: frozenset[int]) -> dict[str, Any]:
    """The data of the JSON report: what was counted from each mark to the next, and in total."""
    first = next((mark.vmstat for mark in marks if mark.vmstat), {})
    total = marks[-1].since(None, first).data(far) if marks else None
    return {
        "profile": profile,
        "far_nodes": sorted(far),
        "intervals": [interval.data(far) for interval in intervals(marks)],
        "total": total,
    }
