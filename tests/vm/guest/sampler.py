"""A sampler of its own: what the kernel says of one cgroup, every 10 ms, independent of Bede.

    sampler.py CGROUP OUT.csv [SECONDS]    until killed, the cgroup is gone, or SECONDS are over

Columns: seconds, local, far, current, file, swap (bytes). Local and far come from the
multi-generational LRU's own counters (debugfs lru_gen; exact without a flush) plus what is
unevictable; where that file is missing, from memory.numa_stat behind a flush by cpu.stat.
"""

import os
import sys
import time

LISTS = {"inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable"}
PAGE = os.sysconf("SC_PAGE_SIZE")


def nodes(name):
    """The set of a sysfs node list such as 0-1,3."""
    found = set()
    with open(name) as file:
        text = file.read().strip()
    for part in filter(None, text.split(",")):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return found


def local_nodes():
    """Nodes with CPUs and memory, and those of the same tier; all others are far."""
    base = "/sys/devices/virtual/memory_tiering"
    tiers = {}
    if os.path.isdir(base):
        for tier in os.listdir(base):
            if tier.startswith("memory_tier") and tier[11:].isdigit():
                tiers[int(tier[11:])] = nodes(f"{base}/{tier}/nodelist")
    tiers = {rank: members for rank, members in tiers.items() if members}
    if tiers:
        return tiers[min(tiers)]
    return nodes("/sys/devices/system/node/has_cpu") & nodes("/sys/devices/system/node/has_memory")


class Sampler:
    """Reads one cgroup's numbers with descriptors that are kept open."""

    def __init__(self, path):
        self.path = path
        self.name = path.removeprefix("/sys/fs/cgroup") or "/"
        self.local = local_nodes()
        self.fds = {}
        for name in ("memory.numa_stat", "cpu.stat", "memory.current", "memory.swap.current"):
            if os.path.exists(f"{path}/{name}"):
                self.fds[name] = os.open(f"{path}/{name}", os.O_RDONLY)
        try:
            self.lru = os.open("/sys/kernel/debug/lru_gen", os.O_RDONLY)
        except OSError:
            self.lru = None

    def text(self, name):
        return os.pread(self.fds[name], 65536, 0).decode() if name in self.fds else "0"

    def numa_stat(self):
        """{list: {node: bytes}}, behind a flush where the kernel offers one."""
        self.text("cpu.stat")
        lists = {}
        for line in self.text("memory.numa_stat").splitlines():
            name, *pairs = line.split()
            if name in LISTS:
                lists[name] = {int(p[1 : p.index("=")]): int(p[p.index("=") + 1 :]) for p in pairs}
        return lists

    def lru_gen(self):
        """{node: [anon, file]} in pages over the cgroup and its descendants."""
        parts, offset = [], 0
        while part := os.pread(self.lru, 1 << 20, offset):
            parts.append(part)
            offset += len(part)
        result, ours, node = {}, False, 0
        for line in b"".join(parts).decode().splitlines():
            if line.startswith("memcg"):
                path = line.split(None, 2)[2] if len(line.split(None, 2)) > 2 else "/"
                ours = path == self.name or path.startswith(self.name + "/")
            elif ours and line.startswith(" node"):
                node = int(line.split()[1])
            elif ours:
                _, _, anon, file = line.split()[:4]
                entry = result.setdefault(node, [0, 0])
                entry[0] += int(anon.rstrip("x"))
                entry[1] += int(file.rstrip("x"))
        return result

    def sample(self):
        """(local, far, current, file, swap) in bytes."""
        stat = self.numa_stat()
        by_node, file = {}, 0
        if self.lru is not None:
            for node, (anon_pages, file_pages) in self.lru_gen().items():
                by_node[node] = (anon_pages + file_pages) * PAGE
                file += file_pages * PAGE
            for node, size in stat["unevictable"].items():
                by_node[node] = by_node.get(node, 0) + size
        else:
            for name, sizes in stat.items():
                for node, size in sizes.items():
                    by_node[node] = by_node.get(node, 0) + size
                    file += size if name.endswith("_file") else 0
        local = sum(size for node, size in by_node.items() if node in self.local)
        far = sum(size for node, size in by_node.items() if node not in self.local)
        return local, far, int(self.text("memory.current")), file, int(self.text("memory.swap.current"))


def main():
    path, out = sys.argv[1], sys.argv[2]
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 1e9
    sampler = Sampler(path)
    start = time.monotonic()
    with open(out, "w", buffering=1 << 16) as file:
        file.write("seconds,local,far,current,file,swap\n")
        try:
            while (now := time.monotonic() - start) < seconds:
                file.write(",".join(map(str, (round(now, 4), *sampler.sample()))) + "\n")
                time.sleep(max(0.0, 0.01 - (time.monotonic() - start - now)))
        except (OSError, KeyError, ValueError):
            pass  # the cgroup is gone: its container has ended
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    main()
