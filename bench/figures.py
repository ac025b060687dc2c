# SPDX-License-Identifier: Apache-2.0
"""The figures of bench/placement.py, from what the model and the sampler counted. Times are milliseconds."""

import csv
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ways
from loads import LOADS, bound_of

if TYPE_CHECKING:
    from vmlab.model.oracle import Best

MIB, PAGE = 1 << 20, 4096
AGENT, KERNEL_THREADS = "/system.slice/bede-agent.service", "/"
AGAIN, OVER = 0.9, 3  #: the E at which what is in use is local again, and how many rounds it is the mean of
FULL = 0.97  #: share of the most memory that a load has had, below which it is ending
Counts = dict[str, Any]  #: of one cgroup in one interval of the model's report


@dataclass(frozen=True)
class Row:
    """One way to run one load, see bench/placement.py for the figures. *again*: None if it never was.

    *efficiency*: None if there is no oracle. *vain*: None if nobody counted it, or nothing moved.
    *whole*: the E of an oracle that chooses among whole huge pages; None if the load has hardly any.
    """

    kernel: str
    load: str
    share: int
    seed: int
    way: str
    local_share: float
    efficiency: float | None
    speed: float
    mean: float
    deviation: float
    over: float
    moved: float
    cpu: float
    later: float
    again: float | None
    vain: float | None
    revision: str  #: of the checkout
    whole: float | None = None


@dataclass(frozen=True)
class Cost:
    """One way to run one load under a bound that it does not reach. *seconds*: those of the load alone."""

    kernel: str
    load: str
    seed: int
    way: str
    seconds: float
    cpu: float
    cost: float
    revision: str


@dataclass(frozen=True)
class Run:
    """What one machine counted, in which the load ran in some ways, one after the other."""

    report: dict[str, Any]
    samples: Path  #: the directory with the sampler's files
    kernel: str
    load: str
    share: int
    seed: int
    revision: str = ""

    def rounds(self, way: str) -> list[Counts]:
        """The load's counts in each of its rounds: those of the one cgroup that missed most.

        Too few if it has not ended, none if the kernel has no such way.
        """
        found: list[Counts] = []
        for interval in self._within(way):
            label = interval["label"]
            if label.startswith(f"{self.load} ") and label != f"{self.load} 0":
                # The sampler is in a service.
                others = [
                    counts
                    for path, counts in interval["cgroups"].items()
                    if path != "(all)" and not path.endswith(".service")
                ]
                found.append(max(others, key=lambda counts: sum(counts["user_misses"])))
        return found

    def has_ended(self, way: str) -> bool:
        """Whether the load has run all of its rounds in this way."""
        return len(self.rounds(way)) == LOADS[self.load].rounds

    def row(self, way: str, best: "Best | None", ideal: float) -> Row:
        """The figures of one way that has ended. *ideal*: time of the last rounds at their best."""
        load, found, within = LOADS[self.load], self.rounds(way), self._within(way)
        steady = found[-load.last :]
        local = local_share(steady)
        mean, deviation, over = self.usage(way)
        return Row(
            kernel=self.kernel,
            load=self.load,
            share=self.share,
            seed=self.seed,
            way=way,
            local_share=local,
            efficiency=efficiency(local, best) if best else None,
            speed=ideal / time(steady),
            mean=mean,
            deviation=deviation,
            over=over,
            moved=sum(each["pages"]["moved"] or 0 for each in within) * PAGE / MIB,
            cpu=_others(within) / time(found),
            later=_others(within[-load.rounds // 3 :]) / time(found[-load.rounds // 3 :]),
            again=again(found[load.rounds // 2 :], best) if best and load.moves else None,
            vain=self.vain(way),
            revision=self.revision,
            whole=efficiency(best.whole, best) if best and load.huge else None,
        )

    def cost(self, way: str, than: str) -> Cost:
        """What the load costs in this way, in all, beyond what it costs in the way *than*."""
        own, other = (time(self.rounds(each)) + _others(self._within(each)) for each in (way, than))
        load = time(self.rounds(way))
        return Cost(
            kernel=self.kernel,
            load=self.load,
            seed=self.seed,
            way=way,
            seconds=load / 1000,
            cpu=(own - load) / load,
            cost=own / other - 1,
            revision=self.revision,
        )

    def _within(self, way: str) -> list[dict[str, Any]]:
        labels = [each["label"] for each in self.report["intervals"]]
        if f"begin {way}" not in labels:
            return []
        start, end = (labels.index(f"{word} {way}") + 1 for word in ("begin", "end"))
        return list(self.report["intervals"][start:end])

    def vain(self, way: str) -> float | None:
        """What moved back within ten seconds, as a share of what moved: the last that Bede said of it."""
        path = self.samples / f"{way}-stats.csv"
        lines = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
        moved = sum(int(lines[-1][each] or 0) for each in ("promoted", "exchanged")) if lines else 0
        return int(lines[-1]["vain"]) / moved if moved else None

    def usage(self, way: str) -> tuple[float, float, float]:
        """Mean and deviation of local usage in the last quarter of a load's time, and its highest overshoot.

        All are shares of the bound. The load's time ends when it begins to give its memory back.
        """
        lines = csv.DictReader((self.samples / f"{way}.csv").read_text().splitlines())
        both = [(float(line["local"]), float(line["far"])) for line in lines]
        most = max(map(sum, both))
        while sum(both[-1]) < FULL * most:
            both.pop()
        local = [usage / (bound_of(self.share) * MIB) for usage, _ in both]
        last = local[-len(local) // 4 :]
        return statistics.mean(last), statistics.pstdev(last), max(local) - 1


def time(some: list[Counts]) -> float:
    """The modelled CPU time of a cgroup in some intervals."""
    return float(sum(counts["cpu_ms"] for counts in some))


def local_share(some: list[Counts]) -> float:
    """The share of a cgroup's misses that local memory served."""
    misses = [sum(counts["user_misses"][node] for counts in some) for node in (0, 1)]
    return float(misses[0] / sum(misses))


def efficiency(share: float, best: "Best") -> float:
    """E, if local memory serves this share of the misses: 0 is chance, 1 the oracle."""
    return (share - best.chance) / (best.steady - best.chance)


def again(after: list[Counts], best: "Best") -> float | None:
    """Seconds that a load ran *after* other memory came into use until E was :data:`AGAIN`; None if never."""
    goal = best.chance + AGAIN * (best.steady - best.chance)
    for end in range(OVER, len(after) + 1):
        if local_share(after[end - OVER : end]) >= goal:
            return time(after[:end]) / 1000
    return None


def _others(intervals: list[dict[str, Any]]) -> float:
    """The CPU time of the agent, of what a way starts, and of the kernel's threads."""
    ours = (AGENT, KERNEL_THREADS, ways.RIVAL)
    return time([counts for each in intervals for path, counts in each["cgroups"].items() if path in ours])


def table(rows: list[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| kernel | load | bound | seed | way | H | E | speed | mean | over | moved, MiB | vain | cpu |"
        " later | again |",
        "|" + " --- |" * 15,
    ]
    for row in rows:
        back = "never" if row.again is None else f"{row.again:.1f} s"
        vain = "-" if row.vain is None else f"{100 * row.vain:.1f} %"
        efficiency = "-" if row.efficiency is None else f"{row.efficiency:.2f}"
        lines.append(
            f"| {row.kernel} | {row.load} | 1/{row.share} | {row.seed} | {row.way} |"
            f" {100 * row.local_share:.1f} % | {efficiency} | {row.speed:.3f} |"
            f" {100 * row.mean:.1f} ± {100 * row.deviation:.1f} % |"
            f" {100 * row.over:.1f} % |"
            f" {row.moved:.0f} | {vain} | {100 * row.cpu:.1f} % | {100 * row.later:.1f} % |"
            f" {back if LOADS[row.load].moves else '-'} |"
        )
    return "\n".join(lines)


def table_of_costs(costs: list[Cost]) -> str:
    """Another one, with what a bound costs that is not reached."""
    lines = ["| kernel | load | way | time, s | cpu | cost |", "|" + " --- |" * 6]
    for each in costs:
        lines.append(
            f"| {each.kernel} | {each.load} | {each.way} | {each.seconds:.3f} |"
            f" {100 * each.cpu:.2f} % | {100 * each.cost:.2f} % |"
        )
    return "\n".join(lines)
