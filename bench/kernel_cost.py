#!/usr/bin/env python3
"""What the patched kernel costs where its limits are not reached: instructions a page fault.

Usage: bench/kernel_cost.py [6.12|7.3] [ROUNDS]

Two machines, one with the patches and one without, of the same source, configuration and compiler, run at the
same time and take turns round by round in the table. Their clock counts instructions (QEMU's icount), so that
neither the host's load nor the two machines disturb each other. A fault is: touch a page of fresh anonymous
memory, and its share of unmapping it again, in a cgroup three levels deep.
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
SCRIPT = """
set -eu
echo 0 >/proc/sys/kernel/numa_balancing
cd /sys/fs/cgroup
echo +memory >cgroup.subtree_control
mkdir -p a/b/c
echo +memory >a/cgroup.subtree_control
echo +memory >a/b/cgroup.subtree_control
run() {
    echo "== $1"
    sh -c 'echo $$ >/sys/fs/cgroup/a/b/c/cgroup.procs; exec /share/faults "$@"' - MB ROUNDS
}
run none
[ -e a/memory.node_limit ] || exit 0
echo N0=900M >a/memory.node_limit
run set
echo N0=max >a/memory.node_limit
mkdir other
echo N0=900M >other/memory.node_limit
run elsewhere
"""


def measure(kernel: str, share: str, rounds: int) -> dict[str, list[float]]:
    """{case: instructions a fault and its unmapping, by round} of one machine."""
    script = SCRIPT.replace("MB", str(MB)).replace("ROUNDS", str(rounds))
    line = [str(BEDE), "vm", "run", "--quiet", "--count-instructions", "--kernel", kernel, "--share", share]
    done = subprocess.run([*line, "--", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{kernel}: {done.stderr}")
    found: dict[str, list[float]] = {}
    for words in map(str.split, done.stdout.splitlines()):
        if words[0] == "==":
            rows = found.setdefault(words[1], [])
        else:
            rows.append(float(words[1]))
    return found


def main(series: str = "6.12", rounds: str = "12") -> int:
    with tempfile.TemporaryDirectory() as share, ThreadPoolExecutor() as pool:
        subprocess.run(["gcc", "-O2", "-static", "-o", f"{share}/faults", HERE / "faults.c"], check=True)
        names = (f"bede-{series}-plain", f"bede-{series}")
        for name in names:
            subprocess.run([BEDE, "vm", "kernel", "build", name], check=True, stdout=subprocess.DEVNULL)
        jobs = [pool.submit(measure, name, share, int(rounds)) for name in names]
        plain, patched = (job.result() for job in jobs)
    base = plain["none"]
    print(f"{series}: instructions a fault, {rounds} pairs of rounds of {MB} MiB; without the patches")
    print(f"  median {statistics.median(base):.1f}, spread {min(base):.1f} to {max(base):.1f}")
    for case, text in (
        ("none", "no limit anywhere"),
        ("elsewhere", "a limit on another cgroup"),
        ("set", "a limit on an ancestor, not reached"),
    ):
        rows = patched[case]
        ratios = [100 * (one / other - 1) for one, other in zip(rows, base, strict=True)]
        print(
            f"with them, {text}: median {statistics.median(rows):.1f}, "
            f"{statistics.median(ratios):+.2f} % ({min(ratios):+.2f} to {max(ratios):+.2f})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
