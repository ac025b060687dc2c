# SPDX-License-Identifier: Apache-2.0
"""Loads for a bound: each allocates MB mebibytes in its own way, holds them, and checks what it wrote.

loads.py anon|populate|shmem|read|paced|mmap|write|workers MB [PROCESSES] [HOLD_SECONDS] [thp] [wait]
"""

import mmap
import os
import sys
import time

PAGE = 4096
MADV_HUGEPAGE, MADV_NOHUGEPAGE = 14, 15
FILE = os.environ.get("BEDE_LOAD_FILE", "/data/load.bin")
PACE = 250 << 20  #: bytes a second of `paced`


# *salt* is the number of the process: each process has its own contents, and its own part of the file.


def fill(region, size, salt):
    for offset in range(0, size, PAGE):
        region[offset] = (offset // PAGE + salt) & 0xFF


def check(region, size, salt):
    for offset in range(0, size, PAGE * 7):
        if region[offset] != (offset // PAGE + salt) & 0xFF:
            sys.exit(f"page {offset // PAGE} lost its content")


def held(region, size, salt, rest):
    fill(region, size, salt)
    rest()
    check(region, size, salt)


def anon(size, salt, rest, thp):
    region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    region.madvise(MADV_HUGEPAGE if thp else MADV_NOHUGEPAGE)
    held(region, size, salt, rest)


def populate(size, salt, rest, thp):
    """Have one system call allocate all of it, in huge pages if these are always used."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    held(mmap.mmap(-1, size, flags=flags), size, salt, rest)


def shmem(size, salt, rest, thp):
    fd = os.memfd_create("load")
    os.ftruncate(fd, size)
    held(mmap.mmap(fd, size), size, salt, rest)


def read(size, salt, rest, thp, pace=None):
    fd = os.open(FILE, os.O_RDONLY)
    os.lseek(fd, salt * size, os.SEEK_SET)
    left, start = size, time.monotonic()
    while left > 0:
        part = os.read(fd, min(1 << 20, left))
        if not part:
            sys.exit("the file is too short")
        left -= len(part)
        if pace:
            time.sleep(max(start + (size - left) / pace - time.monotonic(), 0))
    rest()


def paced(size, salt, rest, thp):
    """Read as from a disk of such a speed."""
    read(size, salt, rest, thp, PACE)


def mapped(size, salt, rest, thp):
    fd = os.open(FILE, os.O_RDONLY)
    region = mmap.mmap(fd, size, prot=mmap.PROT_READ, offset=salt * size)
    total = 0
    for offset in range(0, size, PAGE):
        total += region[offset]
    rest()


def write(size, salt, rest, thp):
    """Write through the page cache to a file without a name."""
    part = bytes(range(256)) * 4096
    fd = os.open(os.path.dirname(FILE), os.O_TMPFILE | os.O_RDWR, 0o600)
    left = size
    while left > 0:
        left -= os.write(fd, part[:left])
    rest()


def workers(size, salt, rest, thp):
    import multiprocessing

    context = multiprocessing.get_context("fork")
    together = context.Barrier(4)

    def work(salt):
        anon(size // 4, salt, lambda: (together.wait(), rest()), thp)

    children = [context.Process(target=work, args=(n,)) for n in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            sys.exit(child.exitcode)


def several(kind, size, processes, rest, thp):
    """Run the load in so many processes. All keep their memory until the last one has its share."""
    filled, ended = os.pipe(), os.pipe()
    pids = []

    def together():
        os.write(filled[1], b".")
        os.read(ended[0], 1)  # returns at the end of file, when the parent closes its side

    for n in range(processes):
        pid = os.fork()
        if pid == 0:
            os.close(ended[1])
            kind(size // processes, n, together, thp)
            os._exit(0)
        pids.append(pid)
    os.close(filled[1])
    for _ in pids:
        os.read(filled[0], 1)  # reads nothing if a child died
    rest()
    os.close(ended[1])
    if any(os.waitpid(pid, 0)[1] for pid in pids):
        sys.exit("a child failed")


KINDS = {
    "anon": anon,
    "populate": populate,
    "shmem": shmem,
    "read": read,
    "paced": paced,
    "mmap": mapped,
    "write": write,
    "workers": workers,
}


def main():
    kind, size = KINDS[sys.argv[1]], int(sys.argv[2]) << 20
    processes = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    hold = float(sys.argv[4]) if len(sys.argv) > 4 else 1.0
    thp = "thp" in sys.argv[5:]
    if "wait" in sys.argv[5:]:
        sys.stdin.readline()
    start = time.monotonic()
    if processes == 1:
        kind(size, 0, lambda: time.sleep(hold), thp)
    else:
        several(kind, size, processes, lambda: time.sleep(hold), thp)
    print(f"{sys.argv[1]} {size >> 20} MiB x{processes}: {time.monotonic() - start - hold:.2f} s", flush=True)


if __name__ == "__main__":
    main()
