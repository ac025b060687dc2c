# SPDX-License-Identifier: Apache-2.0
"""An independent sampler: reads the kernel's figures of one cgroup every 10 ms, without the agent.

    python3 -m vmlab.demo.sampler CGROUP OUT.csv [SECONDS]

Runs until it is killed, the cgroup is gone, or SECONDS are over. Columns: :data:`HEADER`; sizes in bytes.
Local and far come from the multi-generational LRU's own counters (debugfs ``lru_gen``; exact without a
flush) plus unevictable pages. If that file cannot be read, they come from ``memory.numa_stat``, which reading
``cpu.stat`` flushes first. The firmware says which nodes are local, unless the environment does
(``BEDE_LOCAL_NODES=0``). The sampler imports nothing of Bede, so that its figures do not depend on Bede's.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

HEADER = "seconds,local,far,current,file,swap"
INTERVAL = 0.01
TRIES = 4  #: reads of the lists for one sample: memory that is freed meanwhile is charged no more, either
LISTS = {"inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable"}
PAGE = os.sysconf("SC_PAGE_SIZE")
CGROUPS = "/sys/fs/cgroup"
LRU_GEN = "/sys/kernel/debug/lru_gen"
TIERS = "/sys/devices/virtual/memory_tiering"
NODES = "/sys/devices/system/node"
NAMED = "BEDE_LOCAL_NODES"


def parse_nodes(text: str) -> set[int]:
    """The nodes in a sysfs node list such as ``0-1,3``."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return found


def local_nodes() -> set[int]:
    """The local nodes: those in the environment, else the top tier, else those with CPUs and memory."""
    if named := os.environ.get(NAMED):
        return parse_nodes(named)

    def nodes(name: str) -> set[int]:
        with open(name) as file:  # noqa: PTH123  (pathlib is slow to import in an emulated machine)
            return parse_nodes(file.read())

    tiers: dict[int, set[int]] = {}
    if os.path.isdir(TIERS):
        for tier in os.listdir(TIERS):
            rank = tier.removeprefix("memory_tier")
            if rank.isdigit() and (members := nodes(f"{TIERS}/{tier}/nodelist")):
                tiers[int(rank)] = members
    if tiers:
        return tiers[min(tiers)]
    return nodes(f"{NODES}/has_cpu") & nodes(f"{NODES}/has_memory")


def parse_numa_stat(text: str) -> dict[str, dict[int, int]]:
    """``memory.numa_stat``'s LRU lists: {list: {node: bytes}}."""
    lists = {}
    for line in text.splitlines():
        name, *pairs = line.split()
        if name in LISTS:
            lists[name] = {int(p[1 : p.index("=")]): int(p[p.index("=") + 1 :]) for p in pairs}
    return lists


def parse_lru_gen(data: bytes, cgroup: str, inode: int = 0) -> dict[int, tuple[int, int]]:
    """{node: (anon, file)} in pages, summed over *cgroup* (a path below the cgroup root) and its descendants.

    A removed cgroup stays in the file, under its path, while pages are charged to it. The file lists
    siblings from the oldest on, each followed by its descendants, so the last of several cgroups with one
    path is the living one. On kernels that number cgroups by inode, *inode* identifies it. The kernel gives
    the file out in parts: if a cgroup is made between two parts, a later one can be listed twice.
    """
    name = cgroup.encode()
    start, found = -1, 0
    at = data.find(name + b"\n")
    while at >= 0:
        line = data.rfind(b"\n", 0, at) + 1
        head = data[line:at].split()
        number = int(head[1]) if len(head) == 2 and head[0] == b"memcg" else 0
        # The number 0 marks a removed cgroup.
        if number and (start < 0 or number == inode or found != inode):
            start, found = line, number
        at = data.find(name + b"\n", at + 1)
    return _count_below(data, name, start) if start >= 0 else {}


def _count_below(data: bytes, name: bytes, at: int) -> dict[int, tuple[int, int]]:
    """The sums from the cgroup's first line, at *at*, to the end of the cgroups at or below *name*."""
    result: dict[int, tuple[int, int]] = {}
    seen: set[bytes] = set()
    start = at
    while at < len(data):
        end = data.find(b"\n", at)
        _, number, path = data[at:end].split(None, 2)
        if at > start and not path.startswith(name.rstrip(b"/") + b"/"):
            break
        at = data.find(b"\nmemcg", end) + 1 or len(data)
        if number in seen:
            continue
        if number != b"0":
            seen.add(number)
        node = 0
        for line in data[end + 1 : at].splitlines():
            words = line.split()
            if words[0] == b"node":
                node = int(words[1])
            else:
                anon, file = result.get(node, (0, 0))
                # an x marks a generation that no longer exists
                anon, file = anon + int(words[2].rstrip(b"x")), file + int(words[3].rstrip(b"x"))
                result[node] = (anon, file)
    return result


class Sampler:
    """Reads one cgroup's figures by descriptors that stay open."""

    def __init__(self, path: str) -> None:
        self.name = path.removeprefix(CGROUPS) or "/"
        self.inode = os.stat(path).st_ino
        self.local = local_nodes()
        self.fds = {"memory.numa_stat": os.open(f"{path}/memory.numa_stat", os.O_RDONLY)}
        for name in ("cpu.stat", "memory.current", "memory.swap.current"):
            if os.path.exists(f"{path}/{name}"):
                self.fds[name] = os.open(f"{path}/{name}", os.O_RDONLY)
        self.lru: int | None
        try:
            self.lru = os.open(LRU_GEN, os.O_RDONLY)
        except OSError:
            self.lru = None  # there is no debugfs, or kernel lockdown, under which it cannot be opened

    def close(self) -> None:
        """Close the descriptors."""
        for fd in (*self.fds.values(), *(() if self.lru is None else (self.lru,))):
            os.close(fd)
        self.fds, self.lru = {}, None

    def _text(self, name: str) -> str:
        return os.pread(self.fds[name], 65536, 0).decode() if name in self.fds else "0"

    def _lru_gen(self, fd: int) -> bytes:
        data = b""
        while part := os.pread(fd, 1 << 20, len(data)):
            data += part
        return data

    def sample(self) -> tuple[int, int, int, int, int]:
        """(local, far, current, file, swap) in bytes.

        The kernel writes lru_gen out generation by generation. Pages that get younger meanwhile, and huge
        pages do so by the hundred MiB, are in it twice: then there is more than is charged. Read it again.
        """
        for _ in range(TRIES):
            local, far, file = self._lists()
            current = int(self._text("memory.current"))
            if local + far <= current:
                break
        return local, far, current, file, int(self._text("memory.swap.current"))

    def _lists(self) -> tuple[int, int, int]:
        """(local, far, file) in bytes."""
        by_node: dict[int, int] = {}
        file = 0
        if self.lru is None:
            self._text("cpu.stat")
        stat = parse_numa_stat(self._text("memory.numa_stat"))
        if self.lru is not None:
            pages = parse_lru_gen(self._lru_gen(self.lru), self.name, self.inode)
            for node, (anon_pages, file_pages) in pages.items():
                by_node[node] = (anon_pages + file_pages) * PAGE
                file += file_pages * PAGE
            stat = {"unevictable": stat["unevictable"]}
        for name, sizes in stat.items():
            for node, size in sizes.items():
                by_node[node] = by_node.get(node, 0) + size
                file += size if name.endswith("_file") else 0
        local = sum(size for node, size in by_node.items() if node in self.local)
        far = sum(by_node.values()) - local
        return local, far, file


def record(
    path: str,
    file: TextIO,
    seconds: float = 1e9,
    start: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Write samples of the cgroup *path* as CSV until it is gone, *seconds* are over or it is *stopped*.

    Times are since *start* (monotonic).
    """
    start = time.monotonic() if start is None else start
    file.write(HEADER + "\n")
    try:
        sampler = Sampler(path)
        while not stopped() and (now := time.monotonic() - start) < seconds:
            file.write(",".join(map(str, (round(now, 4), *sampler.sample()))) + "\n")
            time.sleep(max(0.0, INTERVAL - (time.monotonic() - start - now)))
    except OSError:
        pass  # the cgroup is gone, because its container has ended


def main(argv: list[str]) -> int:
    """The command; SIGTERM and SIGINT end it with status 0."""
    if len(argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    seconds = float(argv[2]) if len(argv) > 2 else 1e9
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with open(argv[1], "w", buffering=1 << 16) as file:  # noqa: PTH123
        record(argv[0], file, seconds, stopped=stopped.is_set)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
