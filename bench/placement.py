#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures which pages are local under a bound, on the modelled machine, against an oracle.

    bench/placement.py [--kernel NAME]... [--load NAME]... [--share N]... [--seed N]...
                       [--way NAME]... [--json FILE] [--plot FILE]

For each kernel, load and share (the bound is 1/N of the load's memory) one machine runs the load in each way
of bench/ways.py, one after the other. A second one runs it with the oracle's pages taken for local. The loads
are those of tests/vm/guest/workloads/patterns.c. What people use instead of Bede:

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
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ways

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

MIB = 1 << 20
SIZE = 128  #: MiB that a load uses
#: name → accesses a round, and what is computed for each, as in a store that has to find and hash a record
LOADS = dict.fromkeys(("zipf", "region", "moved", "scan", "churn"), ("500000", "60"))
ROUNDS = 150  #: some 16 seconds, of which half is learning
LONGEST = 60  #: modelled seconds that a load may take
LAST = 10  #: rounds that count as steady
KERNELS = ("debian-6.12", "debian-7.3")
AGENT, KERNEL_THREADS = "/system.slice/bede-agent.service", "/"
CONFIG = Path("/etc/bede/config.yaml")


@dataclass(frozen=True)
class Row:
    """One way to run one load; see the module's docstring for the figures."""

    kernel: str
    load: str
    share: int
    seed: int
    way: str
    local_share: float
    efficiency: float
    speed: float
    mean: float
    deviation: float
    over: float
    moved: float
    cpu: float
    later: float


# In the machine


def inside(load: str, names: list[str], bound: int) -> None:
    """Run *load* in each of these ways, in a cgroup of its own, with the independent sampler beside it."""
    ways.DEMOTION.write_text("true")  # whoever reclaims local memory demotes
    for name in names:
        way = ways.WAYS[name]
        if not way.is_here:
            continue
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(f"promotion: {way.promotion}\n")
        subprocess.run(["systemctl", "restart", "bede-agent"], check=True)
        print(f"{load}, {name}", file=sys.stderr)
        parent = ways.CGROUPS / f"way-{name.replace(', ', '-').replace(' ', '-')}"
        parent.mkdir()
        if name == "far":  # the one whose misses are logged
            subprocess.run(["bede-mark", "--follow", parent], check=True)
        with way.host(ways.Place(parent, SIZE, bound)):
            subprocess.run(["bede-mark", f"begin {name}"], check=True)
            command = way.command(bound, (load, str(SIZE), str(ROUNDS), *LOADS[load]))
            _run(command, parent, name, way.within)
            subprocess.run(["bede-mark", f"end {name}"], check=True)


def _run(command: list[str], parent: Path, name: str, within: bool) -> None:
    process = subprocess.Popen(
        command, preexec_fn=lambda: (parent / "cgroup.procs").write_text(str(os.getpid()))
    )
    cgroup = _moved(process, parent) if within else parent
    samples = Path("/out") / f"{name}.csv"
    sampler = subprocess.Popen([sys.executable, "-m", "vmlab.demo.sampler", cgroup, samples])
    try:
        status = process.wait(LONGEST)
    except subprocess.TimeoutExpired:
        print(f"{name} does not end within {LONGEST} s, and is left out", file=sys.stderr)
        (cgroup / "cgroup.kill").write_text("1")
        process.kill()
        process.wait()
        status = 0
    sampler.terminate()
    sampler.wait()
    if status:
        raise SystemExit(f"{command} failed with status {status}")


def _moved(process: subprocess.Popen[bytes], parent: Path) -> Path:
    """The cgroup that the process, as `bede run`, puts its child into."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                path = Path(f"/proc/{child}/cgroup").read_text().strip().removeprefix("0::")
                if path != f"/{parent.name}":
                    return Path("/sys/fs/cgroup" + path)
        time.sleep(0.001)
    raise SystemExit(f"{process.args!r} ended at once")


# On the host


def build(directory: Path) -> None:
    """Make what the machine lacks: the library of "first come", and a load that it can be put before."""
    directory.mkdir()
    loads = [f"tests/vm/guest/workloads/{name}.c" for name in ("patterns", "algorithms")]
    for target, words in (
        ("patterns", [*loads, "-Ivmlab/model", "-lm"]),
        ("first_come.so", ["bench/first_come.c", "-shared", "-fPIC"]),
    ):
        command = ["gcc", "-std=gnu11", "-O2", "-o", str(directory / target), *words]
        subprocess.run(command, cwd=ROOT, check=True)


def boot(kernel: str, seed: int, options: list[str], arguments: list[str], out: Path) -> dict[str, Any]:
    """Run `inside` in a modelled machine; the model's report."""
    report, share = out / "report.json", out / "share"
    if not share.exists():
        build(share)
    command = [
        sys.executable,
        ROOT / "bin/bede",
        "vm",
        "run",
        "--quiet",
        "--kernel",
        kernel,
        "--model",
        "cxl",
    ]
    command += ["--seed", str(seed), "--memory", "2560M,2048M", "--report", report, "--out", out]
    command += ["--share", share]
    command += [*options, "--", "python3", "/usr/lib/bede/bench/placement.py", "--inside", *arguments]
    subprocess.run(command, check=True)
    data: dict[str, Any] = json.loads(report.read_text())
    return data


def rounds(report: dict[str, Any], name: str, load: str) -> list[dict[str, Any]]:
    """The load's counts in each of its rounds in one way: those of the one cgroup that missed most."""
    found: list[dict[str, Any]] = []
    within = False
    for interval in report["intervals"]:
        label = interval["label"]
        if label in (f"begin {name}", f"end {name}"):
            within = label.startswith("begin")
        elif within and label.startswith(f"{load} ") and label != f"{load} 0":
            # The sampler is in a service.
            others = [
                counts
                for path, counts in interval["cgroups"].items()
                if path != "(all)" and not path.endswith(".service")
            ]
            found.append(max(others, key=lambda counts: sum(counts["user_misses"])))
    return found


def _share(some: list[dict[str, Any]]) -> float:
    misses = [sum(counts["user_misses"][node] for counts in some) for node in (0, 1)]
    return misses[0] / sum(misses)


def _usage(path: Path, bound: int) -> tuple[float, float, float]:
    """Mean and deviation of local usage in the last quarter of the samples, and the overshoot of all of them.

    All are shares of the bound.
    """
    names, *lines = path.read_text().splitlines()
    at = names.split(",").index("local")
    local = [float(line.split(",")[at]) / (bound * MIB) for line in lines]
    last = local[-len(local) // 4 :]
    return statistics.mean(last), statistics.pstdev(last), max(local) - 1


def _interval(report: dict[str, Any], label: str) -> dict[str, Any]:
    return next(each for each in report["intervals"] if each["label"] == label)


def measure(kernel: str, load: str, share: int, seed: int, names: list[str]) -> list[Row]:
    """One load under one bound in these ways, of which the first is "far"."""
    from vmlab.model import oracle

    bound = SIZE // share
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        log, placement = out / "log", out / "placement"
        report = boot(kernel, seed, ["--misses", str(log)], [load, str(bound), *names], out)
        epochs = [epoch for epoch in oracle.read(log) if epoch][:ROUNDS]
        best = oracle.best(epochs[-LAST:], bound * MIB // oracle.PAGE)
        oracle.write(best.chosen, ROUNDS + 2, placement)
        replay = boot(kernel, seed, ["--placement", str(placement)], [load, str(bound), "far"], out)
        ideal = sum(counts["cpu_ms"] for counts in rounds(replay, "far", load)[-LAST:])
        chance = best.chance
        for name in names:
            loads = rounds(report, name, load)
            if len(loads) < ROUNDS:
                continue  # this kernel has no such way, or it has not ended
            steady = loads[-LAST:]
            cpu = sum(counts["cpu_ms"] for counts in steady)
            local = _share(steady)
            mean, deviation, over = _usage(out / f"{name}.csv", bound)
            within = _within(report, name)
            rows.append(
                Row(
                    kernel=kernel,
                    load=load,
                    share=share,
                    seed=seed,
                    way=name,
                    local_share=local,
                    efficiency=(local - chance) / (best.steady - chance),
                    speed=ideal / cpu,
                    mean=mean,
                    deviation=deviation,
                    over=over,
                    moved=sum(each["pages"]["moved"] or 0 for each in within) * 4096 / MIB,
                    cpu=_cpu(within, loads),
                    later=_cpu(within[-ROUNDS // 3 :], loads[-ROUNDS // 3 :]),
                )
            )
    return rows


def _within(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    labels = [each["label"] for each in report["intervals"]]
    return list(report["intervals"][labels.index(f"begin {name}") + 1 : labels.index(f"end {name}") + 1])


def _cpu(intervals: list[dict[str, Any]], loads: list[dict[str, Any]]) -> float:
    ours = sum(
        counts["cpu_ms"]
        for each in intervals
        for path, counts in each["cgroups"].items()
        if path in (AGENT, KERNEL_THREADS, ways.RIVAL)
    )
    return float(ours / sum(counts["cpu_ms"] for counts in loads))


def table(rows: list[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| kernel | load | bound | | H | E | speed | mean | over | moved, MiB | cpu | later |",
        "|" + " --- |" * 12,
    ]
    for row in rows:
        lines.append(
            f"| {row.kernel} | {row.load} | 1/{row.share} | {row.way} | {100 * row.local_share:.1f} % |"
            f" {row.efficiency:.2f} | {row.speed:.3f} | {100 * row.mean:.1f} ± {100 * row.deviation:.1f} % |"
            f" {100 * row.over:.1f} % |"
            f" {row.moved:.0f} | {100 * row.cpu:.1f} % | {100 * row.later:.1f} % |"
        )
    return "\n".join(lines)


def plot(rows: list[Row], path: Path) -> None:
    """Draw E against the highest overshoot, a point for each row: good is above, and left."""
    from matplotlib.figure import Figure

    loads = list(dict.fromkeys(row.load for row in rows))
    figure = Figure(figsize=(4 * len(loads), 4), layout="constrained")
    for axes, load in zip(figure.subplots(1, len(loads), squeeze=False, sharey=True)[0], loads, strict=True):
        for way in (way for way in ways.WAYS if way not in ("far", "local")):
            found = [row for row in rows if (row.load, row.way) == (load, way)]
            axes.scatter([100 * row.over for row in found], [row.efficiency for row in found], label=way)
        axes.set(title=load, xlabel="highest above the bound, %")
        axes.axvline(0, color="grey", linewidth=0.5)
        axes.axhline(1, color="grey", linewidth=0.5)
    figure.axes[0].set(ylabel="E: 0 is chance, 1 the oracle")
    figure.axes[-1].legend()
    figure.savefig(path)


def main() -> int:
    """Measure what was asked for; print a table as it grows."""
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[4:], int(sys.argv[3]))
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    parser.add_argument("--load", action="append", choices=LOADS)
    parser.add_argument(
        "--share", action="append", type=int, help="the bound is 1/N of the memory; 2, 4 and 8"
    )
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--way", action="append", choices=ways.WAYS, help="and far; all of them")
    parser.add_argument("--json", type=Path, help="gets the rows as well")
    parser.add_argument("--plot", type=Path, help="gets a picture: .svg, .png, .pdf")
    args = parser.parse_args()
    rows: list[Row] = []
    names = ["far", *(name for name in args.way or ways.WAYS if name != "far")]
    for kernel in args.kernel or KERNELS:
        for load in args.load or LOADS:
            for share in args.share or (2, 4, 8):
                for seed in args.seed or (1,):
                    rows += measure(kernel, load, share, seed, names)
    print(table(rows))
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if args.plot is not None:
        plot(rows, args.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
