# SPDX-License-Identifier: Apache-2.0
"""Anonymous memory that a test controls: led.py MB, then a line of input for each action.

It fills MB mebibytes in small pages and prints a line. Then it reads lines, and prints a line when each
action is done: ``check`` reads all pages and compares, ``huge`` allows huge pages, ``hot FIRST LAST`` goes on
writing to these mebibytes until the next line comes. At the end of input it ends with status 0.
"""

import mmap
import select
import sys
import time

PAGE = 4096
MADV_HUGEPAGE, MADV_NOHUGEPAGE = 14, 15


def say(text):
    print(text, flush=True)


def main():
    size = int(sys.argv[1]) << 20
    region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    region.madvise(MADV_NOHUGEPAGE)
    for offset in range(0, size, PAGE):
        region[offset] = offset // PAGE & 0x7F | 0x80
    say("full")
    while line := sys.stdin.readline():
        words = line.split()
        if words[0] == "check":
            for offset in range(0, size, PAGE):
                if region[offset] != offset // PAGE & 0x7F | 0x80:
                    sys.exit(f"page {offset // PAGE} lost its content")
        elif words[0] == "huge":
            region.madvise(MADV_HUGEPAGE)
        elif words[0] == "hot":
            first, last = (int(word) << 20 for word in words[1:])
            while not select.select([sys.stdin], [], [], 0)[0]:
                for offset in range(first, last, PAGE):
                    region[offset + 1] = 1
                time.sleep(0.02)
        say("done")


if __name__ == "__main__":
    main()
