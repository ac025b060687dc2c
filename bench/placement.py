#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures which pages are local under a bound, on the modelled machine, against an oracle.

    bench/placement.py [--kernel NAME]... [--load NAME]... [--share N]... [--seed N]...
                       [--json FILE] [--plot FILE]

For each kernel, load and share (the bound is 1/N of the load's memory) one machine runs the load in each way
of `ARMS`, one after the other. A second one runs it with the oracle's pages taken for local. The loads are
those of tests/vm/guest/workloads/patterns.c. What people use instead of Bede is done as it is published, as
well as it goes:

    interleave       pages of the load are given out to both nodes by weights that come to the bound in all
                     (numactl --weighted-interleave; Linux 6.9)
    locked, tiering  Pond's emulation: another process locks local memory until only the bound is left, for
                     the load, everybody else and the kernel; NUMA balancing in its tiering mode promotes, as
                     in TPP

Columns:

    H       share of the load's misses that local memory served, in its last rounds
    E       (H - chance) / (oracle's H - chance): 0 is chance, 1 is the oracle
    speed   modelled time of the oracle, divided by this one's
    mean    mean local usage in the last rounds, as a share of the bound; "over" is the highest overshoot
    moved   pages that the kernel moved while the load ran, in MiB
    bede    CPU time of Bede's agent and of the kernel's threads, as a share of the load's; "later": the same
            of the last third of the rounds, when most is learned
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
MIB = 1 << 20
SIZE = 128  #: MiB that a load uses
#: name → accesses a round, and what is computed for each, as in a store that has to find and hash a record
LOADS = dict.fromkeys(("zipf", "region", "moved", "scan"), ("500000", "60"))
ROUNDS = 150  #: some 16 seconds, of which half is learning
LAST = 10  #: rounds that count as steady
KERNELS = ("debian-6.12", "debian-7.3")
PATTERNS = "/usr/lib/bede/tests/vm/guest/workloads/patterns"
WEIGHTS = Path("/sys/kernel/mm/mempolicy/weighted_interleave")
BALANCING = Path("/proc/sys/kernel/numa_balancing")
TIERING = "2"  #: its mode that promotes from lower tiers (Documentation/admin-guide/sysctl/kernel.rst)
#: locks all of local memory but MIB, which is what free memory there shall come to; says so, and waits
LOCK = """
import ctypes, mmap, pathlib, re, signal, sys
about = pathlib.Path("/sys/devices/system/node/node0/meminfo").read_text()
free = int(re.search("MemFree: *([0-9]+)", about)[1])
size = (free << 10) - (int(sys.argv[1]) << 20) & -mmap.PAGESIZE
held = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
at = ctypes.addressof(ctypes.c_char.from_buffer(held))
if ctypes.CDLL(None).mlock(ctypes.c_void_p(at), ctypes.c_size_t(size)):
    sys.exit("mlock failed")
print("locked", flush=True)
signal.pause()
"""
AGENT, KERNEL_THREADS = "/system.slice/bede-agent.service", "/"
CONFIG = Path("/etc/bede/config.yaml")


@contextlib.contextmanager
def _alone(bound: int) -> Iterator[None]:
    """Nothing is done to the host."""
    yield


@contextlib.contextmanager
def _weighted(bound: int) -> Iterator[None]:
    """Local and far memory have the weights with which the load gets *bound* of local memory."""
    for node, weight in enumerate((bound, SIZE - bound)):
        (WEIGHTS / f"node{node}").write_text(str(weight * 16 // SIZE or 1))
    yield


@contextlib.contextmanager
def _locked(bound: int) -> Iterator[None]:
    """*bound* of local memory is free, and NUMA balancing promotes."""
    before = BALANCING.read_text()
    holder = subprocess.Popen(
        ["numactl", "-m", "0", sys.executable, "-c", LOCK, str(bound)], stdout=subprocess.PIPE, text=True
    )
    try:
        if holder.stdout is None or holder.stdout.readline() != "locked\n":
            raise SystemExit("local memory could not be locked")
        BALANCING.write_text(TIERING)
        yield
    finally:
        BALANCING.write_text(before)
        holder.kill()
        holder.wait()


@dataclass(frozen=True)
class Arm:
    """A way to run a load."""

    before: str  #: what is put before the load; {bound} is in MiB
    promotion: str = "none"  #: Bede's setting
    #: what is done to the host, with the bound in MiB
    host: Callable[[int], contextlib.AbstractContextManager[None]] = _alone


ARMS = {
    "far": Arm("numactl -m 1"),
    "local": Arm("numactl -m 0"),
    "interleave": Arm("numactl --weighted-interleave=0,1", host=_weighted),
    "locked, tiering": Arm("env", host=_locked),
    "bede, none": Arm("bede run --local {bound}M --name none --"),
    "bede, balancing": Arm("bede run --local {bound}M --name balancing --", "balancing"),
    "bede": Arm("bede run --local {bound}M --name bede --", "bede"),
}


@dataclass(frozen=True)
class Row:
    """One way to run one load; see the module's docstring for the figures."""

    kernel: str
    load: str
    share: int
    seed: int
    arm: str
    local_share: float
    efficiency: float
    speed: float
    mean: float
    over: float
    moved: float
    bede: float
    later: float


# In the machine


def inside(load: str, arms: list[str], bound: int) -> None:
    """Run *load* in each of *arms*, each in a cgroup of its own, with the independent sampler beside it."""
    for arm in arms:
        words = ARMS[arm].before.format(bound=bound).split()
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(f"promotion: {ARMS[arm].promotion}\n")
        subprocess.run(["systemctl", "restart", "bede-agent"], check=True)
        print(f"{load}, {arm}", file=sys.stderr)
        with ARMS[arm].host(bound):
            subprocess.run(["bede-mark", f"begin {arm}"], check=True)
            _run([*words, PATTERNS, load, str(SIZE), str(ROUNDS), *LOADS[load]], arm)
            subprocess.run(["bede-mark", f"end {arm}"], check=True)


def _run(command: list[str], arm: str) -> None:
    parent = Path("/sys/fs/cgroup") / f"arm-{arm.replace(', ', '-')}"
    parent.mkdir()
    if arm == "far":  # the one whose misses are logged
        subprocess.run(["bede-mark", "--follow", parent], check=True)
    process = subprocess.Popen(
        command, preexec_fn=lambda: (parent / "cgroup.procs").write_text(str(os.getpid()))
    )
    cgroup = _moved(process, parent) if command[0] == "bede" else parent
    samples = Path("/out") / f"{arm}.csv"
    sampler = subprocess.Popen([sys.executable, "-m", "vmlab.demo.sampler", cgroup, samples])
    status = process.wait()
    sampler.terminate()
    sampler.wait()
    if status:
        raise SystemExit(f"{command} failed with status {status}")


def _moved(process: subprocess.Popen[bytes], parent: Path) -> Path:
    """The cgroup that `bede run` puts its child into."""
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


def boot(kernel: str, seed: int, options: list[str], arguments: list[str], out: Path) -> dict[str, Any]:
    """Run `inside` in a modelled machine; the model's report."""
    report = out / "report.json"
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
    command += [*options, "--", "python3", "/usr/lib/bede/bench/placement.py", "--inside", *arguments]
    subprocess.run(command, check=True)
    data: dict[str, Any] = json.loads(report.read_text())
    return data


def rounds(report: dict[str, Any], arm: str, load: str) -> list[dict[str, Any]]:
    """The load's counts in each of its rounds: those of the one cgroup that missed most."""
    found: list[dict[str, Any]] = []
    within = False
    for interval in report["intervals"]:
        label = interval["label"]
        if label in (f"begin {arm}", f"end {arm}"):
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


def _usage(path: Path, bound: int) -> tuple[float, float]:
    """Mean and highest local usage as shares of the bound, the mean of the last quarter of the samples."""
    names, *lines = path.read_text().splitlines()
    at = names.split(",").index("local")
    local = [float(line.split(",")[at]) / (bound * MIB) for line in lines]
    last = local[-len(local) // 4 :]
    return sum(last) / len(last), max(local) - 1


def _interval(report: dict[str, Any], label: str) -> dict[str, Any]:
    return next(each for each in report["intervals"] if each["label"] == label)


def measure(kernel: str, load: str, share: int, seed: int) -> list[Row]:
    """All arms of one load under one bound."""
    from vmlab.model import oracle

    bound = SIZE // share
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        log, placement = out / "log", out / "placement"
        report = boot(kernel, seed, ["--misses", str(log)], [load, str(bound), *ARMS], out)
        epochs = [epoch for epoch in oracle.read(log) if epoch][:ROUNDS]
        best = oracle.best(epochs[-LAST:], bound * MIB // oracle.PAGE)
        oracle.write(best.chosen, ROUNDS + 2, placement)
        replay = boot(kernel, seed, ["--placement", str(placement)], [load, str(bound), "far"], out)
        ideal = sum(counts["cpu_ms"] for counts in rounds(replay, "far", load)[-LAST:])
        chance = best.chance
        for arm in ARMS:
            loads = rounds(report, arm, load)
            steady = loads[-LAST:]
            cpu = sum(counts["cpu_ms"] for counts in steady)
            local = _share(steady)
            mean, over = _usage(out / f"{arm}.csv", bound)
            within = _arm(report, arm)
            rows.append(
                Row(
                    kernel=kernel,
                    load=load,
                    share=share,
                    seed=seed,
                    arm=arm,
                    local_share=local,
                    efficiency=(local - chance) / (best.steady - chance),
                    speed=ideal / cpu,
                    mean=mean,
                    over=over,
                    moved=sum(each["pages"]["moved"] or 0 for each in within) * 4096 / MIB,
                    bede=_bede(within, loads),
                    later=_bede(within[-ROUNDS // 3 :], loads[-ROUNDS // 3 :]),
                )
            )
    return rows


def _arm(report: dict[str, Any], arm: str) -> list[dict[str, Any]]:
    labels = [each["label"] for each in report["intervals"]]
    return list(report["intervals"][labels.index(f"begin {arm}") + 1 : labels.index(f"end {arm}") + 1])


def _bede(intervals: list[dict[str, Any]], loads: list[dict[str, Any]]) -> float:
    ours = sum(
        counts["cpu_ms"]
        for each in intervals
        for path, counts in each["cgroups"].items()
        if path in (AGENT, KERNEL_THREADS)
    )
    return float(ours / sum(counts["cpu_ms"] for counts in loads))


def table(rows: list[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| kernel | load | bound | | H | E | speed | mean | over | moved, MiB | bede | later |",
        "|" + " --- |" * 12,
    ]
    for row in rows:
        lines.append(
            f"| {row.kernel} | {row.load} | 1/{row.share} | {row.arm} | {100 * row.local_share:.1f} % |"
            f" {row.efficiency:.2f} | {row.speed:.3f} | {100 * row.mean:.1f} % | {100 * row.over:.1f} % |"
            f" {row.moved:.0f} | {100 * row.bede:.1f} % | {100 * row.later:.1f} % |"
        )
    return "\n".join(lines)


def plot(rows: list[Row], path: Path) -> None:
    """Draw E against the highest overshoot, a point for each row: good is above, and left."""
    from matplotlib.figure import Figure

    loads = list(dict.fromkeys(row.load for row in rows))
    figure = Figure(figsize=(4 * len(loads), 4), layout="constrained")
    for axes, load in zip(figure.subplots(1, len(loads), squeeze=False, sharey=True)[0], loads, strict=True):
        for arm in (arm for arm in ARMS if arm not in ("far", "local")):
            found = [row for row in rows if (row.load, row.arm) == (load, arm)]
            axes.scatter([100 * row.over for row in found], [row.efficiency for row in found], label=arm)
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
    parser.add_argument("--json", type=Path, help="gets the rows as well")
    parser.add_argument("--plot", type=Path, help="gets a picture: .svg, .png, .pdf")
    args = parser.parse_args()
    rows: list[Row] = []
    for kernel in args.kernel or KERNELS:
        for load in args.load or LOADS:
            for share in args.share or (2, 4, 8):
                for seed in args.seed or (1,):
                    rows += measure(kernel, load, share, seed)
    print(table(rows))
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if args.plot is not None:
        plot(rows, args.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
