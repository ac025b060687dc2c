#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures which pages are local under a bound, on the modelled machine, against an oracle.

    bench/placement.py [--kernel NAME]... [--load NAME]... [--share N]... [--seed N]...
                       [--way NAME]... [--json FILE] [--plot FILE]

For each kernel, load and share (the bound is 1/N of the load's memory) one machine runs the load in each way
of bench/ways.py, one after the other. A second one runs it with the oracle's pages taken for local. The loads
are in bench/loads.py, their code is tests/vm/guest/workloads/patterns.c. What people use instead of Bede:

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
    speed   modelled time of the oracle, divided by this one's
    mean    mean local usage in the last quarter of the time, as a share of the bound, and its standard
            deviation; "over" is the highest overshoot of all the time
    moved   pages that the kernel moved while the load ran, in MiB
    cpu     CPU time of the agent, or of what the way starts, and of the kernel's threads, as a share of the
            load's; "later": the same of the last third of the rounds, when most is learned
    again   for a load whose hot memory moves: modelled seconds from then until E, over 3 rounds, is 0.9

With --share 1 the bound is twice the memory, so it is never reached, and there is no oracle. Then "cost" is
by how much all CPU time, the load's included, exceeds that of the way "local".
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import figures
import ways
from loads import LOADS, bound_of

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

MIB = 1 << 20
KERNELS = ("debian-6.12", "debian-7.3")
WORKLOADS = "tests/vm/guest/workloads"  #: in the checkout


def build(directory: Path) -> None:
    """Make what the machine lacks: the library of "first come", a load for it, and who asks servers."""
    directory.mkdir()
    loads = [f"{WORKLOADS}/{name}.c" for name in ("patterns", "algorithms")]
    for target, words in (
        ("patterns", [*loads, "-Ivmlab/model", "-lm"]),
        ("first_come.so", ["bench/first_come.c", "-shared", "-fPIC"]),
        ("redis_client", ["bench/redis_client.c", "-Ivmlab/model", f"-I{WORKLOADS}", "-lm"]),
    ):
        command = ["gcc", "-std=gnu11", "-O2", "-o", str(directory / target), *words]
        subprocess.run(command, cwd=ROOT, check=True)


def boot(kernel: str, seed: int, options: list[str], arguments: list[str], out: Path) -> dict[str, Any]:
    """Run inside.py in a modelled machine; the model's report."""
    report, share = out / "report.json", out / "share"
    if not share.exists():
        build(share)
    command = [sys.executable, str(ROOT / "bin/bede"), "vm", "run", "--quiet", "--kernel", kernel]
    command += ["--model", "cxl", "--seed", str(seed), "--memory", "2560M,2048M"]
    command += ["--report", str(report), "--out", str(out), "--share", str(share), *options]
    command += ["--", "python3", "/usr/lib/bede/bench/inside.py", *arguments]
    subprocess.run(command, check=True)
    data: dict[str, Any] = json.loads(report.read_text())
    return data


def measure(kernel: str, load: str, share: int, seed: int, names: list[str]) -> list[figures.Row]:
    """One load under one bound in these ways, of which the first is "far"."""
    from vmlab.model import oracle

    bound, steady, rounds = bound_of(share), LOADS[load].last, LOADS[load].rounds
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        log, placement = out / "log", out / "placement"
        report = boot(kernel, seed, ["--misses", str(log)], [load, str(bound), str(rounds), *names], out)
        run = figures.Run(report, out, kernel, load, share, seed)
        epochs = [epoch for epoch in oracle.read(log) if epoch][:rounds]
        best = oracle.best(epochs[-steady:], bound * MIB // oracle.PAGE)
        # The oracle learns nothing, so it needs fewer rounds.
        rounds = LOADS[load].short
        oracle.write(best.chosen, rounds + 2, placement)
        again = out / "again"  # the files of the first machine are still needed
        again.mkdir()
        options = ["--placement", str(placement)]
        report = boot(kernel, seed, options, [load, str(bound), str(rounds), "far"], again)
        replay = figures.Run(report, again, kernel, load, share, seed)
        ideal = figures.time(replay.rounds("far")[-steady:])
        return [run.row(name, best, ideal) for name in names if run.has_ended(name)]


def measure_cost(kernel: str, load: str, seed: int, names: list[str]) -> list[figures.Cost]:
    """One load under a bound that it does not reach in these ways, of which the first is "local"."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        arguments = [load, str(bound_of(1)), str(LOADS[load].rounds), *names]
        report = boot(kernel, seed, [], arguments, out)
        run = figures.Run(report, out, kernel, load, 1, seed)
        return [run.cost(name, names[0]) for name in names if run.has_ended(name)]


def main() -> int:
    """Measure what was asked for; print a table of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    parser.add_argument("--load", action="append", choices=LOADS)
    parser.add_argument(
        "--share", action="append", type=int, help="the bound is 1/N of the memory; 2, 4 and 8"
    )
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--way", action="append", choices=ways.WAYS, help="and far, or local; all of them")
    parser.add_argument("--json", type=Path, help="gets the rows as well")
    parser.add_argument("--plot", type=Path, help="gets a picture: .svg, .png, .pdf")
    args = parser.parse_args()
    rows: list[figures.Row] = []
    costs: list[figures.Cost] = []
    asked = args.way or list(ways.WAYS)
    for kernel in args.kernel or KERNELS:
        for load in args.load or LOADS:
            for share in args.share or (2, 4, 8):
                for seed in args.seed or (1,):
                    if share == 1:
                        costs += measure_cost(kernel, load, seed, _first("local", asked))
                    else:
                        rows += measure(kernel, load, share, seed, _first("far", asked))
    tables = [figures.table(rows)] if rows else []
    tables += [figures.table_of_costs(costs)] if costs else []
    print("\n\n".join(tables))
    if args.json is not None:
        data = [*map(asdict, rows), *map(asdict, costs)]
        args.json.write_text(json.dumps(data, indent=1) + "\n")
    if args.plot is not None:
        figures.plot(rows, args.plot)
    return 0


def _first(way: str, asked: list[str]) -> list[str]:
    return [way, *(each for each in asked if each != way)]


if __name__ == "__main__":
    sys.exit(main())
