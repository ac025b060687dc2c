# SPDX-License-Identifier: Apache-2.0
"""Memory of which a part is hot: hot.py COLD_MB HOT_MB, controlled by lines on standard input.

It fills the cold part, then the hot part, prints a line, and writes to the hot part again and again. To
"where" it answers with the number of hot pages on node 0 and the number of all hot pages; "stop" ends it.
"""

import ctypes
import mmap
import select
import sys

PAGE = 4096
MADV_NOHUGEPAGE = 15
MOVE_PAGES = 279  # the system call's number on x86-64


def part(megabytes):
    region = mmap.mmap(-1, megabytes << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    region.madvise(MADV_NOHUGEPAGE)
    for offset in range(0, len(region), PAGE):
        region[offset] = 1
    return region


def where(region):
    count = len(region) // PAGE
    first = ctypes.addressof(ctypes.c_char.from_buffer(region))
    pages = (ctypes.c_void_p * count)(*range(first, first + len(region), PAGE))
    status = (ctypes.c_int * count)()
    ctypes.CDLL(None).syscall(MOVE_PAGES, 0, ctypes.c_ulong(count), pages, None, status, 0)
    return sum(node == 0 for node in status), count


def main():
    cold, hot = part(int(sys.argv[1])), part(int(sys.argv[2]))
    print("filled", flush=True)
    while True:
        for offset in range(0, len(hot), PAGE):
            hot[offset] = hot[offset] + 1 & 0xFF
        if select.select([sys.stdin], [], [], 0.005)[0]:
            if sys.stdin.readline() != "where\n":
                break
            print(*where(hot), flush=True)
    assert cold[0] == 1


if __name__ == "__main__":
    main()
