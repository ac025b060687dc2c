# SPDX-License-Identifier: Apache-2.0
"""The kernel's files about this host, and values that are the same everywhere on it.

Every absolute path of ``/proc`` and ``/sys`` that Python opens goes through :func:`path`, so a test shows
another host by setting :data:`ROOT` alone.
"""

import os

from ocihook import fs

ROOT = ""  #: prefix of all paths of the host's files; tests set it to a directory of theirs

NODES = "/sys/devices/system/node"  #: Documentation/ABI/stable/sysfs-devices-node
TIERS = "/sys/devices/virtual/memory_tiering"  #: Documentation/ABI/testing/sysfs-kernel-mm-memory-tiers
CPUS_ONLINE = "/sys/devices/system/cpu/online"  #: Documentation/ABI/testing/sysfs-devices-system-cpu
DEMOTION = "/sys/kernel/mm/numa/demotion_enabled"  #: Documentation/ABI/testing/sysfs-kernel-mm-numa
CGROUP = "/sys/fs/cgroup"  #: where cgroups are, as runtimes take for granted
PAGE = os.sysconf("SC_PAGE_SIZE")  #: bytes
BALANCING = "/proc/sys/kernel/numa_balancing"  #: Documentation/admin-guide/sysctl/kernel.rst
TIERING = 2  #: the bit NUMA_BALANCING_MEMORY_TIERING of that file: the kernel promotes every hot page
LRU_GEN_ENABLED = "/sys/kernel/mm/lru_gen/enabled"  #: Documentation/admin-guide/mm/multigen_lru.rst
LRU_GEN = "/sys/kernel/debug/lru_gen"  #: the same page of the kernel's documentation


def path(name: str) -> str:
    """Return the path at which to open the file *name* of this host."""
    return ROOT + name


def read(name: str) -> str:
    """Return the text of the file *name* of this host; "" if it cannot be read."""
    return fs.read_or(path(name), "")


def number(name: str) -> int | None:
    """Return the number in the file *name* of this host; None if there is none."""
    return fs.number(read(name).strip())


def generations() -> bool | None:
    """Return whether the multi-generational LRU is on; None if this kernel has none."""
    enabled = read(LRU_GEN_ENABLED).strip()
    return bool(int(enabled, 16) & 1) if enabled else None


def balancing() -> int | None:
    """Return the mode of NUMA balancing; 0 if it is off, None if this kernel has no NUMA balancing."""
    return number(BALANCING)
