# SPDX-License-Identifier: Apache-2.0
"""A process that reads one half of its memory all the time: what MGLRU and DAMON make of the halves.

Prints one line of JSON: shares of each half's pages that were seen in use. tests/vm/test_model.py runs this.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

MIB = 2  #: so little that its translations stay in an emulated TLB until something flushes that
PATTERNS = "/usr/lib/bede/tests/vm/guest/workloads/patterns"
CGROUP = Path("/sys/fs/cgroup/half")
LRU_GEN = Path("/sys/kernel/debug/lru_gen")
DAMON = Path("/sys/kernel/mm/damon/admin/kdamonds")
STAT = Path("/sys/module/damon_stat/parameters/enabled")
AGINGS = 3


def lru_gen() -> tuple[str, list[tuple[int, int]]]:
    """The cgroup's number for the file, and (generation, anonymous pages) on node 0."""
    number, ours, node, found = "", False, "", []
    for line in LRU_GEN.read_text().splitlines():
        words = line.split()
        if words[0] == "memcg":
            ours = words[2:] == [f"/{CGROUP.name}"]
            number = words[1] if ours else number
        elif words[0] == "node":
            node = words[1]
        elif ours and node == "0":
            found.append((int(words[0]), int(words[2])))
    return number, found


def by_mglru() -> float:
    """The share of the pages that are in the generations made while the process ran."""
    number, before = lru_gen()
    newest = before[-1][0]
    for age in range(AGINGS):
        LRU_GEN.write_text(f"+ {number} 0 {newest + age} 1 1\n")
        time.sleep(0.1)
    _, after = lru_gen()
    # The last but one is the newest that a whole interval has passed for.
    young = sum(pages for generation, pages in after if generation >= newest + AGINGS - 1)
    return young / sum(pages for _, pages in after)


def by_damon(pid: int) -> tuple[float, float]:
    """The share of samples, by size, that saw an access: in the first half, and in the second."""
    start, end = memory(pid)
    if STAT.exists():  # it keeps others out
        STAT.write_text("N")
    (DAMON / "nr_kdamonds").write_text("1")
    context = DAMON / "0/contexts"
    (context / "nr_contexts").write_text("1")
    context /= "0"
    (context / "operations").write_text("fvaddr")
    (context / "targets/nr_targets").write_text("1")
    (context / "targets/0/pid_target").write_text(str(pid))
    regions = context / "targets/0/regions"
    (regions / "nr_regions").write_text("2")
    for number, (low, high) in enumerate(((start, (start + end) // 2), ((start + end) // 2, end))):
        (regions / str(number) / "start").write_text(str(low))
        (regions / str(number) / "end").write_text(str(high))
    intervals = context / "monitoring_attrs/intervals"
    (intervals / "sample_us").write_text("5000")
    (intervals / "aggr_us").write_text("100000")
    (context / "schemes/nr_schemes").write_text("1")
    scheme = context / "schemes/0"
    (scheme / "action").write_text("stat")
    for what in ("sz", "nr_accesses", "age"):
        (scheme / "access_pattern" / what / "max").write_text(str((1 << 63) - 1))
    (DAMON / "0/state").write_text("on")
    time.sleep(0.35)
    (DAMON / "0/state").write_text("update_schemes_tried_regions")
    seen = [0.0, 0.0]
    for region in (scheme / "tried_regions").iterdir():
        if region.is_dir():
            low, high, accesses = (
                int((region / name).read_text()) for name in ("start", "end", "nr_accesses")
            )
            seen[low >= (start + end) // 2] += (high - low) * accesses / 20
    (DAMON / "0/state").write_text("off")
    return seen[0] / ((end - start) / 2), seen[1] / ((end - start) / 2)


def memory(pid: int) -> tuple[int, int]:
    """The process's largest area."""
    areas = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        low, high = (int(text, 16) for text in line.split()[0].split("-"))
        areas.append((high - low, low, high))
    return max(areas)[1:]


def main() -> None:
    """Runs the load, looks, prints."""
    if "--without-flushes" in sys.argv:
        subprocess.run(["sh", "-c", "kill $(pidof bede-mark)"], check=True)
    CGROUP.mkdir()
    load = subprocess.Popen(
        ["numactl", "-m", "0", PATTERNS, "half", str(MIB), "1000000"],
        preexec_fn=lambda: (CGROUP / "cgroup.procs").write_text(str(os.getpid())),
    )
    time.sleep(0.2)
    first, second = by_damon(load.pid)
    print(json.dumps({"mglru": by_mglru(), "first": first, "second": second}))
    load.kill()


if __name__ == "__main__":
    main()
