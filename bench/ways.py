# SPDX-License-Identifier: Apache-2.0
"""The ways in which bench/placement.py runs a load: with Bede, and with what people use instead.

The others are done as they are published, as well as they go, in words and code of our own. What a way starts
runs in a cgroup of its own, :data:`RIVAL`, so that its CPU time is known.
"""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loads import SHARE

MIB = 1 << 20
CGROUPS = Path("/sys/fs/cgroup")
RIVAL = "/rival"
PATTERNS = Path("/usr/lib/bede/tests/vm/guest/workloads/patterns")  #: the loads, as the tests run them
LINKED = SHARE / "patterns"  #: the same, linked with shared libraries, so that one can be preloaded
NODES = Path("/sys/devices/system/node")
WEIGHTS = Path("/sys/kernel/mm/mempolicy/weighted_interleave")
DEMOTION = Path("/sys/kernel/mm/numa/demotion_enabled")
BALANCING = Path("/proc/sys/kernel/numa_balancing")
TIERING = "2"  #: its mode that promotes from lower tiers (Documentation/admin-guide/sysctl/kernel.rst)
DAMON = Path("/sys/kernel/mm/damon/admin/kdamonds")
DAMON_STAT = Path("/sys/module/damon_stat/parameters/enabled")  #: while this is on, DAMON has no other users
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
print("started", flush=True)
signal.pause()
"""
#: looks ten times a second how much of a cgroup is local, and has the kernel demote what is above a bound
POLL = """
import contextlib, pathlib, re, sys, time
cgroup, bound = pathlib.Path(sys.argv[1]), int(sys.argv[2])
print("started", flush=True)
while True:
    text = (cgroup / "memory.numa_stat").read_text()
    local = sum(map(int, re.findall("^(?:anon|file) N0=([0-9]+)", text, re.M)))
    if local > bound:
        with contextlib.suppress(OSError):
            (cgroup / "memory.reclaim").write_text(str(local - bound))
    time.sleep(0.1)
"""


@dataclass(frozen=True)
class Place:
    """Where a load is about to run."""

    cgroup: Path
    size: int  #: MiB that the load uses
    bound: int  #: MiB of them that may be local


@contextlib.contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Nothing is done to the host."""
    yield


@contextlib.contextmanager
def _started(*words: object, before: tuple[str, ...] = ()) -> Iterator[None]:
    """A Python program runs beside the load, with *before* before it. It has said that it is ready."""
    parent = CGROUPS / RIVAL.removeprefix("/")
    parent.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [*before, sys.executable, "-c", *map(str, words)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: (parent / "cgroup.procs").write_text(str(os.getpid())),
    )
    try:
        if process.stdout is None or process.stdout.readline() != "started\n":
            raise SystemExit(f"{words[0]!r} did not start")
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _weighted(place: Place) -> Iterator[None]:
    """Local and far memory have the weights with which the load gets its bound of local memory."""
    for node, weight in enumerate((place.bound, place.size - place.bound)):
        (WEIGHTS / f"node{node}").write_text(str(max(1, weight * 16 // place.size)))
    yield


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    """The bound is all that is free of local memory, and NUMA balancing promotes."""
    before = BALANCING.read_text()
    with _started(LOCK, place.bound, before=("numactl", "-m", "0")):
        BALANCING.write_text(TIERING)
        try:
            yield
        finally:
            BALANCING.write_text(before)


@contextlib.contextmanager
def _high(place: Place) -> Iterator[None]:
    (place.cgroup / "memory.high").write_text(f"{place.bound}M")
    yield


@contextlib.contextmanager
def _polled(place: Place) -> Iterator[None]:
    with _started(POLL, place.cgroup, place.bound * MIB):
        yield


def _ranges(node: int) -> list[tuple[int, int]]:
    """The node's physical addresses."""
    size = int(Path("/sys/devices/system/memory/block_size_bytes").read_text(), 16)
    found: list[tuple[int, int]] = []
    for block in sorted(int(path.name[6:]) for path in (NODES / f"node{node}").glob("memory[0-9]*")):
        if found and found[-1][1] == block * size:
            found[-1] = (found[-1][0], (block + 1) * size)
        else:
            found.append((block * size, (block + 1) * size))
    return found


def _scheme(kdamond: Path, action: str, node: int, target: int, hot: bool) -> tuple[Path, Path]:
    """Have a kdamond watch *node*, and move what is *hot*, or is not, to *target*: its goal and filter."""
    (kdamond / "contexts/nr_contexts").write_text("1")
    context = kdamond / "contexts/0"
    (context / "operations").write_text("paddr")
    (context / "targets/nr_targets").write_text("1")
    regions = context / "targets/0/regions"
    ranges = _ranges(node)
    (regions / "nr_regions").write_text(str(len(ranges)))
    for number, (start, end) in enumerate(ranges):
        (regions / f"{number}/start").write_text(str(start))
        (regions / f"{number}/end").write_text(str(end))
    (context / "schemes/nr_schemes").write_text("1")
    scheme = context / "schemes/0"
    (scheme / "action").write_text(action)
    (scheme / "target_nid").write_text(str(target))
    pattern = scheme / "access_pattern"
    for name, least, most in (
        ("sz", 4096, 2**63),
        ("nr_accesses", int(hot), 2**31 if hot else 0),
        ("age", 0, 2**31),
    ):
        (pattern / name / "min").write_text(str(least))
        (pattern / name / "max").write_text(str(most))
    # A quota counts what is looked at, free memory and others' as well. With a goal it begins at a byte,
    # and at most doubles in each interval. With those of the kernel's sample, 200 MiB and a second, next
    # to nothing of a load would move before it ends.
    (scheme / "quotas/bytes").write_text(str(sum(end - start for start, end in ranges)))
    (scheme / "quotas/reset_interval_ms").write_text("100")
    (scheme / "quotas/goals/nr_goals").write_text("1")
    (scheme / "ops_filters/nr_filters").write_text("1")
    return scheme / "quotas/goals/0", scheme / "ops_filters/0"


def _size(node: int) -> int:
    """MiB that the node has."""
    found = re.search("MemTotal: *([0-9]+)", (NODES / f"node{node}/meminfo").read_text())
    if found is None:
        raise SystemExit(f"node {node} has no size")
    return int(found[1]) >> 10


@contextlib.contextmanager
def _damon(place: Place) -> Iterator[None]:
    """DAMON moves hot and cold pages so that the cgroup uses a share of each node.

    As in the kernel's samples/damon/mtier.c, with the goals that are about one cgroup
    (Documentation/mm/damon/design.rst, "Aim-oriented Feedback-driven Auto-tuning").
    """
    DAMON_STAT.write_text("N")
    (DAMON / "nr_kdamonds").write_text("2")
    path = "/" + place.cgroup.name
    # What shall be far is a goal about the far node: what is to be free on the local one hardly differs
    # from what is free there already, so it would change next to nothing.
    for number, (action, node, target, wanted) in enumerate(
        (("migrate_hot", 1, 0, place.bound), ("migrate_cold", 0, 1, place.size - place.bound))
    ):
        goal, kept = _scheme(DAMON / str(number), action, node, target, action == "migrate_hot")
        (goal / "target_metric").write_text("node_memcg_used_bp")
        (goal / "target_value").write_text(str(wanted * 10000 // _size(target)))
        (goal / "nid").write_text(str(target))
        (goal / "path").write_text(path)
        for name, text in (("type", "memcg"), ("memcg_path", path), ("matching", "N"), ("allow", "N")):
            (kept / name).write_text(text)
        (DAMON / f"{number}/state").write_text("on")
    try:
        yield
    finally:
        for number in range(2):
            (DAMON / f"{number}/state").write_text("off")
        (DAMON / "nr_kdamonds").write_text("0")


@dataclass(frozen=True)
class Way:
    """A way to run a load."""

    before: str = "env"  #: what is put before the load; {bound} is in MiB
    program: Path = PATTERNS  #: which build of the loads that command starts
    within: bool = False  #: whether that command puts the load into a cgroup of its own
    promotion: str = "none"  #: Bede's setting
    #: what is done to the host as long as the load runs
    host: Callable[[Place], contextlib.AbstractContextManager[None]] = _alone
    needs: Path = Path("/")  #: a file of the kernels that have it

    @property
    def is_here(self) -> bool:
        """Whether this kernel can do it."""
        return self.needs.exists()

    def command(self, bound: int, words: list[str]) -> list[str]:
        """How a load with this command line is started under *bound* MiB."""
        return [*self.before.format(bound=bound).split(), words[0] or str(self.program), *words[1:]]


def _bede(promotion: str) -> Way:
    before = f"bede run --local {{bound}}M --name {promotion} --"
    return Way(before, within=True, promotion=promotion)


WAYS = {
    "far": Way("numactl -m 1"),
    "local": Way("numactl -m 0"),
    "interleave": Way("numactl --weighted-interleave=0,1", host=_weighted),
    "first come": Way(f"env LD_PRELOAD={SHARE}/first_come.so FIRST_COME_MIB={{bound}}", LINKED),
    "locked, tiering": Way(host=_locked),
    "memory.high": Way(host=_high),
    "polled": Way(host=_polled),
    "damon": Way(host=_damon, needs=DAMON_STAT),
    "bede, none": _bede("none"),
    "bede, balancing": _bede("balancing"),
    "bede": _bede("bede"),
}
