# SPDX-License-Identifier: Apache-2.0
"""A holder without demotion on plain files in place of a cgroup's (a mock), and what it shall see."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from ocihook.native import Holder, Stats

MIB = 1 << 20
SECONDS = 30  #: a machine may be busy; a turn takes less than a millisecond


def use(cgroup: Path, local: int, more: int = 0) -> None:
    """So many MiB are local, and so many more charged. The widths stay, so no text is read in part."""
    for name, text in (
        ("memory.numa_stat", f"inactive_anon N0={local * MIB:012} N1=0\n"),
        ("memory.current", f"{(local + more) * MIB:012}\n"),
    ):
        fd = os.open(cgroup / name, os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)


class Held:
    """It holds *bound* MiB. A context manager: leaving ends it."""

    def __init__(self, cgroup: Path, bound: int) -> None:
        self.cgroup = cgroup
        self.fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        self.holder = Holder(
            self.fd, "/a", local=(0,), far=(1,), bound=bound * MIB, nodes={}, user_high=None, lru_file=None
        )

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *exc: object) -> None:
        self.holder.stop(restore=False)
        os.close(self.fd)

    def use(self, local: int) -> None:
        """So many MiB are local from now on."""
        use(self.cgroup, local)

    def set(self, bound: int) -> None:
        """Another bound, in MiB."""
        self.holder.set(bound * MIB, {})

    def until(self, seen: Callable[[Stats], bool]) -> Stats:
        """Its stats as soon as they are as they shall be."""
        end = time.monotonic() + SECONDS
        while not seen(stats := self.holder.stats()):
            assert time.monotonic() < end, stats
            time.sleep(0.001)
        return stats

    def looked(self) -> Stats:
        """Its stats after another whole turn."""
        rounds = self.holder.stats().rounds
        return self.until(lambda stats: stats.rounds > rounds + 1)
