#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures which pages are local under a bound, on the modelled machine, against an oracle.

    bench/placement.py [--kernel NAME]... [--load NAME]... [--share N]... [--seed N]...
                       [--way NAME]... [--keep]

For each kernel, load and share (the bound is 1/N of the load's memory) one machine runs the load in each way
of bench/ways.py, one after the other. A second one runs it with the oracle's pages taken for local. The loads
are in bench/loads.py: those of tests/vm/guest/workloads/patterns.c, and real programs. What people use
instead of Bede:

    interleave       pages of the load are given out to both nodes by weights that come to the bound in all
                     (numactl --weighted-interleave; Linux 6.9)
    first come       a preloaded library chooses the node when memory is mapped, local until the bound is
                     reached, as SMDK's does
    locked, tiering  Pond's emulation: another process locks local memory until only the bound is left, for
                     the load, everybody else and the kernel; NUMA balancing in its tiering mode promotes, as
                     in TPP
    memory.high      the cgroup's own limit, which counts far memory, too; throttled as soon as all is used, a
                     load does not end within a minute
    polled           a program looks at memory.numa_stat ten times a second, and writes what exceeds the bound
                     to memory.reclaim, which demotes: what Bede did at first
    damon            DAMON migrates hot and cold pages until the cgroup uses that share of the local node
                     (Linux 6.19: node_memcg_used_bp)

Columns:

    H       share of the load's misses that local memory served, in its last rounds
    E       (H - chance) / (oracle's H - chance): 0 is chance, 1 is the oracle
    whole   the E of an oracle that may choose only whole huge pages, for a load that has most of its memory
            in these (in the report's first table)
    speed   modelled time of the oracle, divided by this one's
    mean    mean local usage in the last quarter of the time, as a share of the bound, and its standard
            deviation; "over" is the highest overshoot of all the time
    moved   pages that the kernel moved while the load ran, in MiB
    vain    share of what Bede moved that it moved back within ten seconds, by its own count
    cpu     CPU time of the agent, or of what the way starts, and of the kernel's threads, as a share of the
            load's; "later": the same of the last third of the rounds, when most is learned
    again   for a load whose hot memory moves: modelled seconds from then until E, over 3 rounds, is 0.9

A build's pages live for a moment, so no oracle chooses among them: E is missing, and the speed is a share of
what it is in local memory alone.

With --share 1 the bound is twice the memory, so it is never reached, and there is no oracle. Then "cost" is
by how much all CPU time, the load's included, exceeds that of the way "local".

--keep puts the rows into bench/results/ as soon as they are there, and makes docs/figures.md of all that are
(bench/report.py). Without further options it measures everything, which takes days.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import figures
import report
import results
import supplies
import ways
from loads import LOADS, SCRIPTS, bound_of

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from vmlab.model import oracle  # noqa: E402

MIB = 1 << 20
KERNELS = ("debian-6.12", "debian-7.3")
NAMES = "in quotes if it has a space; far, or local, runs as well; default: all"


@dataclass(frozen=True)
class Study:
    """One load on one kernel, with one seed; what its machines leave behind goes into *directory*."""

    kernel: str
    load: str
    share: int
    seed: int
    directory: Path

    def run(self, names: list[str], rounds: int, *options: str) -> figures.Run:
        """Have a modelled machine run the load in these ways, in so many rounds."""
        supplied = self.directory / "share"
        if not supplied.exists():
            supplies.make(self.load, supplied)
        out = Path(tempfile.mkdtemp(dir=self.directory))
        report = out / "report.json"
        command = [sys.executable, str(ROOT / "bin/bede"), "vm", "run", "--quiet", "--kernel", self.kernel]
        command += ["--model", "cxl", "--seed", str(self.seed), "--memory", "2560M,2048M"]
        command += ["--report", str(report), "--out", str(out), "--share", str(supplied), *options]
        command += ["--", "python3", f"{SCRIPTS}/inside.py"]
        command += [self.load, str(bound_of(self.share)), str(rounds), *names]
        subprocess.run(command, check=True)
        data = json.loads(report.read_text())
        return figures.Run(data, out, self.kernel, self.load, self.share, self.seed, revision())

    def rows(self, asked: list[str]) -> list[figures.Row]:
        """What the load does in these ways, as far as each has ended in time."""
        load = LOADS[self.load]
        if not load.stays:
            run = self.run(_first("local", asked), load.rounds)
            return self._rows(run, None, figures.time(run.rounds("local")[-load.last :]))
        names, log = _first("far", asked), self.directory / "log"
        run = self.run(names, load.rounds, "--misses", str(log))
        best = self._best(log)
        # The oracle learns nothing, so it needs fewer rounds.
        placement = self.directory / "placement"
        oracle.write(best.chosen, load.short + 2, placement)
        replay = self.run(["far"], load.short, "--placement", str(placement))
        return self._rows(run, best, figures.time(replay.rounds("far")[-load.last :]))

    def _best(self, log: Path) -> oracle.Best:
        load = LOADS[self.load]
        epochs = [epoch for epoch in oracle.read(log) if epoch][: load.rounds]
        return oracle.best(epochs[-load.last :], bound_of(self.share) * MIB // oracle.PAGE)

    def _rows(self, run: figures.Run, best: oracle.Best | None, ideal: float) -> list[figures.Row]:
        return [run.row(name, best, ideal) for name in ways.WAYS if run.has_ended(name)]

    def costs(self, asked: list[str]) -> list[figures.Cost]:
        """What the load costs in these ways, under a bound that it does not reach."""
        names = _first("local", asked)
        run = self.run(names, LOADS[self.load].rounds)
        return [run.cost(name, names[0]) for name in names if run.has_ended(name)]


def revision() -> str:
    """Of the checkout; with a plus if it has been changed since."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> int:
    """Measure what was asked for; print a table of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    parser.add_argument("--load", action="append", choices=LOADS)
    parser.add_argument(
        "--share", action="append", type=int, help="the bound is 1/N of the memory; default: 2, 4 and 8"
    )
    parser.add_argument("--seed", action="append", type=int, help="default: 1")
    parser.add_argument("--way", action="append", choices=ways.WAYS, help=NAMES)
    parser.add_argument("--keep", action="store_true", help="add to bench/results/, and to the report")
    args = parser.parse_args()
    rows: list[figures.Row] = []
    costs: list[figures.Cost] = []
    asked = args.way or list(ways.WAYS)
    for kernel in args.kernel or KERNELS:
        for load in args.load or LOADS:
            for share in args.share or (2, 4, 8):
                for seed in args.seed or (1,):
                    with tempfile.TemporaryDirectory() as directory:
                        study = Study(kernel, load, share, seed, Path(directory))
                        if share == 1:
                            costs += study.costs(asked)
                        else:
                            rows += study.rows(asked)
                    if args.keep:
                        results.keep(rows, results.ROWS)
                        results.keep(costs, results.COSTS)
                        report.write()
    tables = [figures.table(rows)] if rows else []
    tables += [figures.table_of_costs(costs)] if costs else []
    print("\n\n".join(tables))
    return 0


def _first(way: str, asked: list[str]) -> list[str]:
    return [way, *(each for each in asked if each != way)]


if __name__ == "__main__":
    sys.exit(main())
