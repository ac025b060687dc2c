# SPDX-License-Identifier: Apache-2.0
"""filled.py HOW MEGABYTES CGROUP: has memory that a child in another CGROUP fills, and holds it.

HOW: ``mem`` by /proc/PID/mem, ``uffd`` by UFFDIO_COPY. Prints "full" once it is there and as it was written,
and ends with its standard input.
"""

import ctypes
import fcntl
import mmap
import os
import struct
import sys

PIECE = 1 << 20
MADV_NOHUGEPAGE = 15
USERFAULTFD = 323  #: the number of the system call on x86-64
#: linux/userfaultfd.h: _IOWR(0xAA, 0x3F, 24 bytes), …
UFFDIO_API, UFFDIO_REGISTER, UFFDIO_COPY = 0xC018AA3F, 0xC020AA00, 0xC028AA03
UFFD_API, MISSING = 0xAA, 1

libc = ctypes.CDLL(None, use_errno=True)


def by_mem(pid, address, piece, uffd):
    """Write *piece* to *address* of the process *pid*."""
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(address)
        assert memory.write(bytes(piece)) == PIECE


def by_uffd(pid, address, piece, uffd):
    """Put *piece* at *address* of whoever has made *uffd*."""
    done = bytearray(struct.pack("QQQQq", address, ctypes.addressof(piece), PIECE, 0, 0))
    fcntl.ioctl(uffd, UFFDIO_COPY, done)
    assert struct.unpack("QQQQq", done)[4] == PIECE


HOW = {"mem": by_mem, "uffd": by_uffd}


def watched(address, size):
    """A descriptor by which others can fill what is missing there."""
    uffd = libc.syscall(USERFAULTFD, os.O_CLOEXEC)
    assert uffd >= 0, os.strerror(ctypes.get_errno())
    fcntl.ioctl(uffd, UFFDIO_API, bytearray(struct.pack("QQQ", UFFD_API, 0, 0)))
    fcntl.ioctl(uffd, UFFDIO_REGISTER, bytearray(struct.pack("QQQQ", address, size, MISSING, 0)))
    return uffd


def main():
    """Have it filled."""
    how, size, cgroup = sys.argv[1], int(sys.argv[2]) << 20, sys.argv[3]
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(MADV_NOHUGEPAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    uffd = watched(address, size) if how == "uffd" else -1
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        with open(f"{cgroup}/cgroup.procs", "w") as procs:
            procs.write(str(os.getpid()))
        piece = ctypes.create_string_buffer(b"\7" * PIECE, PIECE)
        for at in range(0, size, PIECE):
            HOW[how](parent, address + at, piece, uffd)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    assert all(memory[at] == 7 for at in range(0, size, 4096))
    print("full", flush=True)
    sys.stdin.readline()


main()
