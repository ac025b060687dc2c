# SPDX-License-Identifier: Apache-2.0
"""Counts a cgroup's pages independently, by /proc/kpagecgroup, which has the cgroup of every page frame."""

import array
import os
from pathlib import Path

from vmlab.demo.sampler import local_nodes

PAGE = 4096
LRU = 1 << 5  # KPF_LRU


def frames():
    """[(node, first page frame, end)] of every zone."""
    spans, node, start, spanned = [], 0, None, 0
    for line in Path("/proc/zoneinfo").read_text().splitlines():
        words = line.split()
        if words[:1] == ["Node"]:
            node = int(words[1].rstrip(","))
        elif words[:1] == ["spanned"]:
            spanned = int(words[1])
        elif words[:1] == ["start_pfn:"]:
            start = int(words[1])
            if spanned:
                spans.append((node, start, start + spanned))
    return spans


def table(name, start, end):
    """The 64-bit entries *start* to *end* of one of the kernel's tables by page frame."""
    values = array.array("Q")
    with open(name, "rb", buffering=0) as file:
        while start < end:
            data = os.pread(file.fileno(), min(end - start, 1 << 16) * 8, start * 8)
            if not data:
                break
            values.frombytes(data)
            start += len(data) // 8
    return values


def pages(cgroup):
    """(local, far) in bytes of the pages on the LRU lists that are charged to *cgroup* itself."""
    inode, local = cgroup.stat().st_ino, local_nodes()
    found = [0, 0]
    for node, start, end in frames():
        owners = table("/proc/kpagecgroup", start, end)
        if not owners.count(inode):
            continue
        flags = table("/proc/kpageflags", start, end)
        mine = sum(1 for owner, flag in zip(owners, flags, strict=False) if owner == inode and flag & LRU)
        found[node not in local] += mine * PAGE
    return tuple(found)
