# SPDX-License-Identifier: Apache-2.0
"""A cgroup with memory.node_limit, on the patched kernel, sampled every 10 ms."""

import contextlib
import functools
import mmap
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import bounds
import helpers
from helpers import CGROUPS, MIB, WORKLOADS

from vmlab.demo.sampler import parse_numa_stat

CPUS = os.cpu_count() or 1
SCANNING = Path("/sys/kernel/debug/sched/numa_balancing")  #: how often it scans a task
MADV_COLD = 20
LRU_GEN = Path("/sys/kernel/mm/lru_gen/enabled")
LOADS = [str(WORKLOADS / "loads")]
#: Holds so many MiB that cannot be moved: prints 0 once they are locked, and ends with its input.
LOCKED = [
    sys.executable,
    "-ISB",
    "-c",
    """
import ctypes, mmap, sys
memory = mmap.mmap(-1, int(sys.argv[1]) << 20, flags=mmap.MAP_PRIVATE)
for at in range(0, len(memory), 4096):
    memory[at] = 1
print(ctypes.CDLL(None).mlockall(1), flush=True)
sys.stdin.readline()
""",
]
SLOW = Path("/proc/lockdep").exists()  #: a debug kernel, which checks everything it does
PEAK = 0.9  #: share of the highest total: until it is last reached, the demand counts as high


def pairs(text):
    """{node: bytes} of a line such as ``N0=4096 N1=max``; max is infinite."""
    found = {}
    for pair in text.split():
        node, _, value = pair.partition("=")
        found[int(node[1:])] = float("inf") if value == "max" else int(value)
    return found


def keyed(path):
    """A flat keyed file as a dictionary."""
    return {key: int(value) for key, value in map(str.split, path.read_text().splitlines())}


def write(path, text):
    """Write *text* by one write(2), so that an error is the kernel's answer to it."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def vmstat(*names):
    """The figures *names* of /proc/vmstat."""
    found = keyed(Path("/proc/vmstat"))
    return {name: found.get(name, 0) for name in names}


def unused(node):
    """Free MiB of a node."""
    lines = Path(f"/sys/devices/system/node/node{node}/meminfo").read_text().splitlines()
    return next(int(line.split()[3]) for line in lines if " MemFree:" in line) // 1024


def complaints():
    """Lines of the kernel's log that report a fault of the kernel."""
    signs = ("WARNING:", "BUG:", "Oops", "possible recursive", "circular locking", "suspicious RCU", "UBSAN")
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    return [line for line in log.splitlines() if any(sign in line for sign in (*signs, "blocked for more"))]


@contextlib.contextmanager
def undisturbed():
    """Check that nothing is swapped or killed while the block runs."""
    before = vmstat("pswpout", "oom_kill")
    yield
    assert vmstat("pswpout", "oom_kill") == before


@contextlib.contextmanager
def knobs(values):
    """Write each text to its path for as long as the block runs."""
    before = {path: path.read_text() for path in values}
    try:
        for path, text in values.items():
            write(path, text)
        yield
    finally:
        for path, text in before.items():
            write(path, text)


def drained(read):
    """Return what *read* does once all CPUs have put what waits in their batches on the LRU.

    Where no limit is, memory.node_current shows what is on the LRU. MADV_COLD begins with draining its CPU.
    """
    cpus = os.sched_getaffinity(0)
    try:
        with mmap.mmap(-1, mmap.PAGESIZE) as page:
            for cpu in cpus:
                os.sched_setaffinity(0, {cpu})
                page.madvise(MADV_COLD)
    finally:
        os.sched_setaffinity(0, cpus)
    return read()


@contextlib.contextmanager
def uncached(name, megabytes):
    """A file of that size that nobody has in memory; removed at the end."""
    path = bounds.WORK / name
    path.write_bytes(b"x" * megabytes * MIB)
    os.sync()
    bounds.forget_page_cache()
    try:
        yield path
    finally:
        path.unlink()


def slack(limit, huge=False):
    """Bytes that *limit* MiB may be exceeded by: 0.5 %, 1 MiB, or with *huge* a huge page for each CPU."""
    return max(limit * MIB * 0.005, MIB, CPUS * 2 * MIB if huge else 0)


wait_until = functools.partial(helpers.wait_until, seconds=120.0)


@dataclass(frozen=True)
class Samples:
    """Samples of memory.node_current: [(local, all nodes)] in bytes."""

    rows: list

    @property
    def highest(self):
        return max(local for local, _ in self.rows)

    @property
    def total(self):
        return max(total for _, total in self.rows)

    def mean(self, limit):
        """The mean local usage while the demand was above *limit*; None if it never was."""
        last = max(n for n, (_, total) in enumerate(self.rows) if total >= PEAK * self.total)
        high = [local for local, total in self.rows[: last + 1] if total >= limit]
        return sum(high) / len(high) if high else None


class Group:
    """A cgroup below the root; a context manager that makes and removes it. Node 0 is the local one."""

    def __init__(self, name="limited", limit=None):
        self.path = CGROUPS / name
        self.limit_text = limit
        self.started = []

    def __enter__(self):
        self.path.mkdir()
        if self.limit_text:
            self.limit(self.limit_text)
        return self

    def __exit__(self, *exc):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
        bounds.forget_page_cache()  # else the cgroup would stay as long as its page cache

        def removed():
            with contextlib.suppress(OSError):
                for path, _, _ in os.walk(self.path, topdown=False):
                    os.rmdir(path)
            return not self.path.exists()

        wait_until(f"{self.path} can be removed", removed)

    def read(self, name):
        return (self.path / name).read_text()

    def limit(self, text):
        write(self.path / "memory.node_limit", text)

    def divide(self, *names):
        """Make these cgroups below, with the memory controller. Processes may then be in them alone."""
        write(self.path / "cgroup.subtree_control", "+memory")
        for name in names:
            (self.path / name).mkdir()

    def current(self, below=""):
        """{node: bytes} of memory.node_current, of this cgroup or of one *below* it."""
        return pairs((self.path / below / "memory.node_current").read_text())

    def local(self, below=""):
        return self.current(below)[0]

    def total(self):
        return sum(self.current().values())

    def events(self):
        return keyed(self.path / "memory.node_events")

    def numa_stat(self):
        """{node: bytes} on the LRU lists, from memory.numa_stat."""
        found = {}
        for nodes in parse_numa_stat(self.read("memory.numa_stat")).values():
            for node, value in nodes.items():
                found[node] = found.get(node, 0) + value
        return found

    def start(self, *command, below="", env=(), stdin=subprocess.DEVNULL):
        """Start a command in the cgroup, or in one *below* it."""
        procs = self.path / below / "cgroup.procs"
        process = subprocess.Popen(
            command,
            preexec_fn=lambda: write(procs, str(os.getpid())),
            env=dict(os.environ, **dict(env)),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def fill(self, megabytes, *extra, hold=60):
        """Start a load, and wait until it has all of its anonymous memory, which it holds."""
        process = self.start(*LOADS, "anon", str(megabytes), "1", str(hold), *extra)
        wait_until("the load is filled", lambda: drained(self.total) >= megabytes * MIB)
        return process

    def lead(self, megabytes, processes=1):
        """Start processes of `led.py` with so much memory together, and wait until all have it."""
        share = str(megabytes // processes)
        command = [sys.executable, "-ISB", str(WORKLOADS / "led.py"), share]
        led = [self.start(*command, stdin=subprocess.PIPE) for _ in range(processes)]
        for process in led:
            answer(process)
        return led

    @contextlib.contextmanager
    def sampled(self):
        """Sample every 10 ms while the block runs."""
        rows = []
        done = threading.Event()

        def sample():
            fd = os.open(self.path / "memory.node_current", os.O_RDONLY)
            try:
                while not done.is_set():
                    nodes = pairs(os.pread(fd, 4096, 0).decode())
                    rows.append((nodes[0], sum(nodes.values())))
                    time.sleep(0.01)
            finally:
                os.close(fd)

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield Samples(rows)
        finally:
            done.set()
            thread.join()


def ask(processes, line):
    """Send a line to processes of `led.py`, all at once."""
    for process in processes:
        process.stdin.write(line + "\n")
        process.stdin.flush()


def answer(process):
    """Wait until a process of `led.py` has done what it was asked."""
    line = process.stdout.readline()
    assert line in ("full\n", "done\n"), line + process.stdout.read()


def ended(process):
    """Wait for the end of a load. Returns its status and output."""
    out, _ = process.communicate(timeout=300)
    return process.returncode, out.strip()
