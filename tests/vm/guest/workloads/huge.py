# SPDX-License-Identifier: Apache-2.0
"""Processes that touch memory in huge pages at the same time, and free nothing before all have theirs.

huge.py PROCESSES MB: MB mebibytes each. It begins when a line comes in, prints "full", and ends at the next.
"""

import mmap
import os
import sys

HUGE = 2 << 20
SMALL = 4096
MADV_HUGEPAGE = 14


def main():
    processes, size = int(sys.argv[1]), int(sys.argv[2]) << 20
    sys.stdin.readline()
    filled, ended = os.pipe(), os.pipe()
    for _ in range(processes):
        if os.fork() == 0:
            os.close(ended[1])
            region = mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            region.madvise(MADV_HUGEPAGE)
            for offset in range(0, size, HUGE):
                # Touch every small page of it: the kernel may have had no huge page.
                region[offset : offset + HUGE : SMALL] = b"\1" * (HUGE // SMALL)
            os.write(filled[1], b".")
            os.read(ended[0], 1)  # returns at the end of file, when the parent closes its side
            os._exit(any(region[offset] != 1 for offset in range(0, size, HUGE)))
    os.close(filled[1])
    for _ in range(processes):
        os.read(filled[0], 1)
    print("full", flush=True)
    sys.stdin.readline()
    os.close(ended[1])
    sys.exit(sum(os.wait()[1] != 0 for _ in range(processes)))


if __name__ == "__main__":
    main()
