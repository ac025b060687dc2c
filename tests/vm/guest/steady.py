"""A workload that a test leads by the hand: steady.py DIR MB.

It fills MB mebibytes of anonymous memory with small pages, makes DIR/full, then writes to all of them
again and again, counting rounds in DIR/progress, until DIR/stop is there. Then it checks every page,
prints its verdict and exits with status 7, so that a test sees whose status it gets.
"""

import mmap
import os
import sys
import time

PAGE = 4096
MADV_NOHUGEPAGE = 15
STATUS = 7


def put(name, text):
    with open(name + ".new", "w") as file:
        file.write(text)
    os.replace(name + ".new", name)


def main():
    where, size = sys.argv[1], int(sys.argv[2]) << 20
    region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    region.madvise(MADV_NOHUGEPAGE)
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
