"""A workload that a test leads by the hand: steady.py DIR MB [set_mempolicy|mbind NODE].

It fills MB mebibytes of anonymous memory with small pages, makes DIR/full, then writes to all of them
again and again, counting rounds in DIR/progress, until DIR/stop is there. Then it checks every page,
prints its verdict and exits with status 7, so that a test sees whose status it gets. With a call and a node
its memory is bound to that node by the program itself.
"""

import mmap
import os
import sys
import time

PAGE = 4096
MADV_NOHUGEPAGE = 15
MPOL_BIND = 2
STATUS = 7


def put(name, text):
    with open(name + ".new", "w") as file:
        file.write(text)
    os.replace(name + ".new", name)


def place(region, size, call, node):
    import ctypes

    mask = ctypes.c_ulong(1 << node)
    libc = ctypes.CDLL(None, use_errno=True)
    if call == "mbind":
        first = ctypes.c_char.from_buffer(region)
        where = (ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_ulong(size))
        done = libc.syscall(237, *where, MPOL_BIND, ctypes.byref(mask), ctypes.c_ulong(65), 0)
    else:
        done = libc.syscall(238, MPOL_BIND, ctypes.byref(mask), ctypes.c_ulong(65))
    if done:
        sys.exit(f"{call}: {os.strerror(ctypes.get_errno())}")


def main():
    where, size = sys.argv[1], int(sys.argv[2]) << 20
    region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    region.madvise(MADV_NOHUGEPAGE)
    if len(sys.argv) > 3:
        place(region, size, sys.argv[3], int(sys.argv[4]))
    for offset in range(0, size, PAGE):
        region[offset : offset + 8] = offset.to_bytes(8, "little")
    put(f"{where}/full", "")
    rounds = 0
    while not os.path.exists(f"{where}/stop"):
        for offset in range(0, size, PAGE):
            region[offset + 8] = rounds & 0xFF
            if offset & 0xFFFFF == 0:
                if os.path.exists(f"{where}/stop"):
                    break
                time.sleep(0.002)  # the machine has few CPUs, and tests have others to look at
        rounds += 1
        put(f"{where}/progress", str(rounds))
    for offset in range(0, size, PAGE):
        if int.from_bytes(region[offset : offset + 8], "little") != offset:
            sys.exit(f"page {offset // PAGE} lost its content")
    print(f"kept {size >> 20} MiB", flush=True)
    sys.exit(STATUS)


if __name__ == "__main__":
    main()
