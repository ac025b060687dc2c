# SPDX-License-Identifier: Apache-2.0
"""Runs one load under a bound, measured by the sampler, and prints its figures as a row of a table.

    python3 bounds.py [NAME...]        prints the table; run it in the machine, as root

Each load runs in a container of its own (crun, on the bundle of examples/runc) with swap on.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WORKLOADS = Path(__file__).resolve().parents[1] / "workloads"
BEDE = WORKLOADS.parents[3]
ROOTFS = "/usr/share/bede-vm/rootfs"
WORK = Path("/var/tmp/bede-bounds")
OUT = Path("/out")  #: the machine's end of `bede vm run --out`: gets the samples
DEFRAG = Path("/sys/kernel/mm/transparent_hugepage/defrag")
MIB = 1 << 20
REDIS_ELEMENTS = 8000  #: of 64 KiB each
PEAK = 0.97  #: share of the highest total: until it is last reached, the demand counts as high


@dataclass(frozen=True)
class Case:
    """A load, its bound, and the limits for its figures."""

    name: str
    load: str  #: arguments of loads.py; or "redis", or "sweep"
    bound: int = 128  #: MiB
    demand: int = 4  #: in bounds
    overshoot: float = 0.01  #: highest overshoot, as a share of the bound
    mean: float = 0.97  #: lowest mean of local usage while the demand is high, as a share of the bound
    huge: bool = False  #: a huge page for each CPU may be above the bound
    #: page faults may wait for huge pages; if not, those that one system call allocates pass the fence
    waits: bool = False
    cache: float = 0.0  #: lowest page cache that is kept, as a share of that in the same run without a bound


CASES = {
    case.name: case
    for case in (
        Case("anon-1", "anon 512 1 1"),
        Case("anon-8", "anon 512 8 1"),
        Case("thp-1", "anon 1024 1 1 thp", bound=256, huge=True),
        Case("thp-8", "anon 2048 8 1 thp", bound=512, huge=True),
        Case("redis", "redis", mean=0.95),
        Case("workers", "workers 512 1 1", mean=0.95),
        # A disk that takes no time is faster than demotion: the reader's own reclaim drops page cache.
        Case("read", "read 512 1 1", overshoot=0.02, mean=0, cache=0.5),
        Case("paced", "paced 512 1 1", overshoot=0.02, mean=0, cache=0.9),
        Case("mmap", "mmap 512 1 1", overshoot=0.02, mean=0, cache=0.9),
        Case("shmem", "shmem 512 1 1", mean=0.95),
        # One system call allocates all of it, or one each.
        Case("call-1", "populate 512 1 1", mean=0.9, waits=True),
        Case("call-4", "populate 512 4 4", mean=0.9, waits=True),
        # Huge pages that are in use all the time: the room that one leaves is too small for another.
        Case("sweep", "sweep", demand=3, mean=0.93, waits=True),
    )
}


@dataclass(frozen=True)
class Result:
    """The figures of the sampler and of the container's parent; bytes and seconds."""

    status: int
    output: str
    seconds: float
    samples: int
    highest: int  #: local usage
    mean: float | None  #: mean local usage while the demand was high; None: it never was
    last: int  #: local usage when it was last high
    total: int  #: highest local and far together
    file: int  #: highest page cache
    swap: int


def have_load_file() -> None:
    """Make the file that loads read, and drop its page cache, which would fill the local node."""
    WORK.mkdir(exist_ok=True)
    load = WORK / "load.bin"
    if not load.exists():
        subprocess.run(["dd", "if=/dev/zero", f"of={load}", "bs=1M", "count=512", "status=none"], check=True)
    forget_page_cache()


def forget_page_cache() -> None:
    """Make room on the local node: drop all page cache that is not locked."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


@contextlib.contextmanager
def swap() -> Iterator[None]:
    """Turn swap on while the block runs."""
    WORK.mkdir(exist_ok=True)
    file = WORK / "swap"
    subprocess.run(["dd", "if=/dev/zero", f"of={file}", "bs=1M", "count=128", "status=none"], check=True)
    file.chmod(0o600)
    subprocess.run(["mkswap", file], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["swapon", file], check=True)
    try:
        yield
    finally:
        subprocess.run(["swapoff", file], check=True)
        file.unlink()


@contextlib.contextmanager
def chosen(path: Path, word: str) -> Iterator[None]:
    """Choose one of the words of a file, such as "always [madvise] never", for as long as the block runs."""
    before = path.read_text().partition("[")[2].partition("]")[0]
    path.write_text(word)
    try:
        yield
    finally:
        path.write_text(before)


def command(case: Case) -> list[str]:
    """The command of the container."""
    if case.load == "redis":
        return ["/usr/bin/redis-server", "--port", "0", "--unixsocket", "/data/redis.sock", "--save", ""]
    if case.load == "sweep":
        sweep = ["/usr/bin/stress-ng", "--vm", "4", "--vm-bytes", f"{case.demand * case.bound}M", "--vm-keep"]
        return [*sweep, "--timeout", "5s", "--temp-path", "/data"]
    return ["/usr/bin/python3", f"{WORKLOADS}/loads.py", *case.load.split(), "wait"]


def bundle(case: Case, bounded: bool) -> Path:
    """The example's bundle with this load in it, without Bede's hooks unless *bounded*."""
    where = WORK / "bundle"
    where.mkdir(exist_ok=True)
    (where / "rootfs").mkdir(exist_ok=True)
    make = BEDE / "examples/runc/make-bundle"
    subprocess.run([sys.executable, make, where, f"{case.bound}M", *command(case)], check=True)
    config = json.loads((where / "config.json").read_text())
    config["root"] = {"path": ROOTFS, "readonly": True}
    config["process"]["env"] += ["BEDE_LOAD_FILE=/data/load.bin", "PYTHONDONTWRITEBYTECODE=1"]
    config["linux"]["cgroupsPath"] = f"/bede-bounds-{case.name}"
    for source, target, options in (("/usr", "/usr", ["rbind", "ro"]), (str(WORK), "/data", ["rbind", "rw"])):
        mount = {"destination": target, "type": "bind", "source": source, "options": options}
        config["mounts"].append(mount)
    shared = {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "nodev"]}
    config["mounts"].append(shared)  # for the semaphores of multiprocessing
    if not bounded:
        del config["hooks"], config["annotations"]
    (where / "config.json").write_text(json.dumps(config))
    return where


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until *path* exists. Raises RuntimeError if the container ends first."""
    deadline = time.monotonic() + 60
    while not path.exists():
        if process.poll() is not None:
            raise RuntimeError(f"the container did not start: {process.communicate()}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{path} did not come")
        time.sleep(0.01)


def load_redis() -> str:
    """Fill Redis and shut it down. Returns the number of elements it had at the end."""
    client = ["redis-cli", "-s", str(WORK / "redis.sock")]
    wait = subprocess.run([*client, "ping"], capture_output=True, text=True, check=False)
    while wait.stdout.strip() != "PONG":
        time.sleep(0.05)
        wait = subprocess.run([*client, "ping"], capture_output=True, text=True, check=False)
    # Elements of one list: they can be counted, and no element replaces another.
    benchmark = ["redis-benchmark", "-s", str(WORK / "redis.sock"), "-q", "-t", "rpush"]
    benchmark += ["-n", str(REDIS_ELEMENTS), "-d", "65536", "-P", "8", "-c", "4"]
    subprocess.run(benchmark, check=True, stdout=subprocess.DEVNULL)
    time.sleep(0.1)  # a longer pause would measure where the last page happened to be
    count = subprocess.run([*client, "llen", "mylist"], capture_output=True, text=True, check=True)
    subprocess.run([*client, "shutdown", "nosave"], check=False, capture_output=True)
    return count.stdout.strip()


def run(case: Case, bounded: bool = True) -> Result:
    """Run the load in its container, sampled from its first instruction to its end."""
    with chosen(DEFRAG, "always") if case.waits else contextlib.nullcontext():
        return _run(case, bounded)


def _run(case: Case, bounded: bool) -> Result:
    forget_page_cache()
    csv = WORK / "samples.csv"
    cgroup = Path(f"/sys/fs/cgroup/bede-bounds-{case.name}")
    start = time.monotonic()
    container = subprocess.Popen(
        ["crun", "run", "--bundle", bundle(case, bounded), f"bounds-{case.name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(cgroup / "memory.numa_stat", container)
    sampler = subprocess.Popen(
        ["nice", "-n", "-20", sys.executable, "-m", "vmlab.demo.sampler", cgroup, csv],
        env={**os.environ, "PYTHONPATH": str(BEDE)},
    )
    wait_for(csv, container)  # by then the sampler has its signal handlers
    counted = load_redis() if case.load == "redis" else ""
    with contextlib.suppress(BrokenPipeError):
        output, _ = container.communicate("go\n", timeout=300)
    seconds = time.monotonic() - start
    sampler.terminate()
    sampler.wait()
    if OUT.is_dir():
        (OUT / f"{case.name}.csv").write_text(csv.read_text())
    rows = [[float(cell) for cell in line.split(",")] for line in csv.read_text().splitlines()[1:]]
    csv.unlink()
    return summary(rows, case, container.returncode, counted or output, seconds)


def summary(rows: list[list[float]], case: Case, status: int, output: str, seconds: float) -> Result:
    """Figures from the sampler's rows (seconds, local, far, current, file, swap)."""
    totals = [row[1] + row[2] for row in rows]
    peak = max(totals)
    high = [n for n, total in enumerate(totals) if total >= case.bound * MIB]
    last = max(n for n, total in enumerate(totals) if total >= PEAK * peak)
    local = [row[1] for row in rows[high[0] : last + 1]] if high else []
    return Result(
        status=status,
        output=output,
        seconds=seconds,
        samples=len(rows),
        highest=int(max(row[1] for row in rows)),
        mean=sum(local) / len(local) if local else None,
        last=int(rows[last][1]),
        total=int(peak),
        file=int(max(row[4] for row in rows)),
        swap=int(max(row[5] for row in rows)),
    )


def line(case: Case, result: Result, free: Result | None) -> str:
    """One row of the table."""
    bound = case.bound * MIB
    over = max(result.highest - bound, 0)
    kept = f"{100 * result.file / free.file:5.1f} %" if free else "      -"
    mean = f"{100 * (result.mean or 0) / bound:5.1f} %"
    return (
        f"{case.name:8} {case.bound:4} MiB  {over / MIB:5.2f} MiB {100 * over / bound:5.2f} %  {mean}"
        f"  {result.total / MIB:6.1f} MiB  {kept}  {result.swap / MIB:4.1f} MiB  {result.seconds:5.1f} s"
        f"  {result.samples} samples"
    )


def main(names: list[str]) -> int:
    """Print the table of *names*."""
    have_load_file()
    with swap():
        table(names)
    return 0


def table(names: list[str]) -> None:
    """Print a line for each load; for all loads if *names* is empty."""
    print(f"{os.uname().release}, {os.cpu_count()} CPUs")
    print("load     bound     overshoot          mean     total       cache    swap      time")
    for case in [CASES[name] for name in names] if names else CASES.values():
        free = run(case, bounded=False) if case.cache else None
        print(line(case, run(case), free), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
