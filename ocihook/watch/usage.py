# SPDX-License-Identifier: Apache-2.0
"""Local and far usage of many containers at one instant, often: the agent is not asked.

A patched kernel counts exactly what its limits hold (``memory.node_current``), flushing nothing.
Elsewhere the generations of the multi-generational LRU (debugfs ``lru_gen``, root's, one read for all
containers) are as exact, plus what is unevictable. Without them ``memory.numa_stat`` is read behind
``cpu.stat``, which brings it up to date on 6.12; on 7.3 it does not, and the figures can be up to two
seconds old (docs/holding.md).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ocihook import fs, host
from ocihook.cgroup import memory
from ocihook.cgroup.path import Cgroup
from ocihook.errors import BedeError
from ocihook.host import PAGE
from ocihook.topology.nodes import Tiers

_UNEVICTABLE = "unevictable "


class Usage:
    """Measures open cgroups; a context manager: leaving closes what it reads."""

    def __init__(self, tiers: Tiers) -> None:
        self.tiers = tiers  #: which nodes are local and far; the owner may replace it
        self._lru = -1
        # If the generations are off, the file exists but has no pages.
        if host.generations():
            with contextlib.suppress(OSError):
                self._lru = os.open(host.path(host.LRU_GEN), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        if self._lru >= 0:
            os.close(self._lru)
            self._lru = -1

    def __enter__(self) -> Usage:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read(self, cgroups: Iterable[Cgroup]) -> dict[str, tuple[int, int]]:
        """Return {path: (local, far)} in bytes, descendants included. Cgroups that are gone are left out."""
        found: dict[str, tuple[int, int]] = {}
        others: list[Cgroup] = []
        for cgroup in cgroups:
            try:
                found[cgroup.path] = self._split(memory.node_usage(cgroup.fd))
            except (OSError, BedeError):
                others.append(cgroup)
        pages = self._generations({cgroup.path: cgroup.inode for cgroup in others}) if others else {}
        for cgroup in others:
            with contextlib.suppress(OSError, BedeError):
                found[cgroup.path] = self._of(cgroup, pages.get(cgroup.path))
        return found

    def _generations(self, inodes: Mapping[str, int]) -> dict[str, dict[int, int]]:
        if self._lru < 0:
            return {}
        parts: list[bytes] = []
        at = 0
        try:
            while part := os.pread(self._lru, 1 << 20, at):
                parts.append(part)
                at += len(part)
            return generations(b"".join(parts), inodes)
        except (OSError, ValueError, IndexError):
            return {}

    def _of(self, cgroup: Cgroup, pages: dict[int, int] | None) -> tuple[int, int]:
        if pages is None:
            fs.read_or("cpu.stat", "", dir_fd=cgroup.fd)
        stat = fs.read("memory.numa_stat", dir_fd=cgroup.fd)
        if pages is None:
            return memory.local_far(stat, self.tiers.local, self.tiers.far)
        locked = "".join(line for line in stat.splitlines() if line.startswith(_UNEVICTABLE))
        local, far = memory.local_far(locked, self.tiers.local, self.tiers.far)
        more_local, more_far = self._split({node: count * PAGE for node, count in pages.items()})
        return local + more_local, far + more_far

    def _split(self, used: dict[int, int]) -> tuple[int, int]:
        local = sum(used.get(node, 0) for node in self.tiers.local)
        return local, sum(used.get(node, 0) for node in self.tiers.far)


class _Block(NamedTuple):
    """What ``lru_gen`` says about one memory cgroup."""

    number: int
    path: bytes
    lines: bytes


def generations(text: bytes, inodes: Mapping[str, int]) -> dict[str, dict[int, int]]:
    """Return {path: {node: pages}} of each path of *inodes*, descendants included, by *text* of ``lru_gen``.

    A cgroup that was removed stays in that file under its path while pages are charged to it: see
    native/kfile.h. If several have one path, *inodes* identifies the living one, on kernels that show the
    inode there. Raises ValueError or IndexError if the text has another form.
    """
    blocks = [_block(part) for part in (b"\n" + text).split(b"\nmemcg ")[1:]]
    wanted = {os.fsencode(path): inode for path, inode in inodes.items()}
    start: dict[bytes, int] = {}
    for at, block in enumerate(blocks):
        inode = wanted.get(block.path)
        if inode is None or not block.number:
            continue
        before = start.get(block.path)
        if before is None or block.number == inode or blocks[before].number != inode:
            start[block.path] = at
    return {path: _below(blocks, start[name]) for path in inodes if (name := os.fsencode(path)) in start}


def _block(part: bytes) -> _Block:
    head, _, lines = part.partition(b"\n")
    number, _, path = head.lstrip().partition(b" ")
    return _Block(int(number), path, lines)


def _below(blocks: Sequence[_Block], start: int) -> dict[int, int]:
    """Return {node: pages} of the cgroup whose block is at *start* and of those below it, which follow it."""
    above = blocks[start].path.rstrip(b"/") + b"/"
    sums: dict[int, int] = {}
    seen: set[int] = set()
    for at, block in enumerate(blocks[start:]):
        if at and not block.path.startswith(above):
            break
        # We read the file in parts. If a cgroup was made between two reads, a block can be there twice.
        if block.number in seen:
            continue
        if block.number:
            seen.add(block.number)
        for node, pages in _counts(block.lines).items():
            sums[node] = sums.get(node, 0) + pages
    return sums


def _counts(block: bytes) -> dict[int, int]:
    counts: dict[int, int] = {}
    node = -1
    for line in block.splitlines():
        words = line.split()
        if words[:1] == [b"node"]:
            node = int(words[1])
        elif words:
            # the words are generation, age, anonymous and file pages; an x marks a generation that is gone
            counts[node] = counts.get(node, 0) + sum(int(word.rstrip(b"x")) for word in words[2:4])
    return counts
