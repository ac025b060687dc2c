# SPDX-License-Identifier: Apache-2.0
"""Starts a child directly in another cgroup, by clone3(2): cloner.py CGROUP MB HOLD_SECONDS."""

import ctypes
import mmap
import os
import sys
import time

CLONE_INTO_CGROUP = 0x200000000
CLONE3 = 435
SIGCHLD = 17


def main():
    fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
    size = int(sys.argv[2]) << 20
    # struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, …, cgroup
    args = (ctypes.c_uint64 * 11)(CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, fd)
    # PyDLL does not release the interpreter's lock, so the child has it, too.
    pid = ctypes.PyDLL(None).syscall(CLONE3, ctypes.byref(args), ctypes.c_size_t(ctypes.sizeof(args)))
    if pid == 0:
        region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, size, 4096):
            region[offset] = 1
        time.sleep(float(sys.argv[3]))
        os._exit(0)
    sys.exit(0 if pid > 0 and os.waitpid(pid, 0)[1] == 0 else 1)


if __name__ == "__main__":
    main()
