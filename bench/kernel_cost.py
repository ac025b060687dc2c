#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what the patches cost, while no limit is reached and at one: instructions for each page fault.

Usage: bench/kernel_cost.py [6.12|7.3] [PAIRS]

A pair is two machines started at the same time, with and without the patches, whose kernels have the same
source, configuration and compiler. Their clock counts instructions (QEMU's icount), so that the host's load
and the other machine do not matter. Chance decides how long some paths are, and they stay so for a while: for
example, in which of its slots a CPU keeps the cgroup's charges, which makes steps of 15 instructions for each
fault. So each pair boots the kernels anew, and a figure is the mean of several processes, which take turns on
both CPUs.

A fault is: touch a page of fresh anonymous memory, in a cgroup three levels deep; "and back" adds the page's
share of unmapping. A process's figure is the median of its rounds.
"""

import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
BEDE = HERE.parent / ".venv/bin/bede"
MB = 64
ROUNDS = 3
PROCESSES = 8
SCRIPT = r"""
set -eu
sleep 10  # of the machine's own time: until what was started with it is at rest
echo 0 >/proc/sys/kernel/numa_balancing
cd /sys/fs/cgroup
echo +memory >cgroup.subtree_control
mkdir -p a/b/c
echo +memory >a/cgroup.subtree_control
echo +memory >a/b/cgroup.subtree_control
run() {
    for n in $(seq PROCESSES); do
        echo "== $1"
        sh -c 'echo $$ >/sys/fs/cgroup/a/b/c/cgroup.procs; exec "$@"' - \
            taskset -c $((n % 2)) /share/faults MB ROUNDS
    done
}
run none
[ -e a/memory.node_limit ] || exit 0
echo N0=900M >a/memory.node_limit
run set
echo N0=max >a/memory.node_limit
mkdir other
echo N0=900M >other/memory.node_limit
run elsewhere
echo N0=max >other/memory.node_limit
echo N0=4M >a/memory.node_limit
run full
"""
CASES = {
    "none": "no limit anywhere",
    "elsewhere": "a limit on another cgroup",
    "set": "a limit on an ancestor, not reached",
    "full": "at the limit, 15 of 16 pages are placed elsewhere",
}
Figures = dict[str, tuple[float, float]]  #: case → instructions for each fault, without and with unmapping


def measure(kernel: str, share: str) -> Figures:
    """Run one machine. Returns its figures."""
    script = SCRIPT.replace("MB", str(MB)).replace("ROUNDS", str(ROUNDS)).replace("PROCESSES", str(PROCESSES))
    line = [str(BEDE), "vm", "run", "--quiet", "--count-instructions", "--kernel", kernel, "--share", share]
    done = subprocess.run([*line, "--", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{kernel}: {done.stderr}")
    cases: dict[str, list[list[tuple[float, ...]]]] = {}
    for words in map(str.split, done.stdout.splitlines()):
        if words[0] == "==":
            processes = cases.setdefault(words[1], [])
            processes.append([])
        else:
            processes[-1].append(tuple(map(float, words)))

    def figure(processes: list[list[tuple[float, ...]]], column: int) -> float:
        return statistics.mean(statistics.median(row[column] for row in rounds) for rounds in processes)

    return {case: (figure(processes, 0), figure(processes, 1)) for case, processes in cases.items()}


def spread(values: list[float], sign: str = "") -> str:
    """The median, the lowest and the highest of *values*, as text."""
    return f"{statistics.median(values):{sign}.2f} ({min(values):{sign}.2f} to {max(values):{sign}.2f})"


def main(series: str = "6.12", pairs: str = "10") -> int:
    names = (f"bede-{series}-plain", f"bede-{series}")
    for name in names:
        subprocess.run([BEDE, "vm", "kernel", "build", name], check=True, stdout=subprocess.DEVNULL)
    found: list[list[Figures]] = []
    with tempfile.TemporaryDirectory() as share, ThreadPoolExecutor() as pool:
        subprocess.run(["gcc", "-O2", "-static", "-o", f"{share}/faults", HERE / "faults.c"], check=True)
        for n in range(int(pairs)):
            found.append(list(pool.map(measure, names, (share, share))))
            print(f"pair {n + 1} of {pairs}: {found[-1]}", file=sys.stderr)
    for column, what in enumerate(("a fault", "a fault and back")):
        base = [plain["none"][column] for plain, _ in found]
        print(f"{series}, instructions of {what}, {pairs} pairs; without the patches: {spread(base)}")
        for case, text in CASES.items():
            rows = [patched[case][column] for _, patched in found]
            ratios = [100 * (one / other - 1) for one, other in zip(rows, base, strict=True)]
            print(f"  with them, {text}: {spread(rows)}, in per cent {spread(ratios, '+')}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
