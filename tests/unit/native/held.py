# SPDX-License-Identifier: Apache-2.0
"""A holder without demotion on plain files in place of a cgroup's, which the test writes (a mock)."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from ocihook.native import Holder, Stats

MIB = 1 << 20
SECONDS = 30  #: enough on a busy machine: a turn takes less than a millisecond


def use(cgroup: Path, local: int, more: int = 0) -> None:
    """Write *local* MiB as local usage, and *more* MiB charged; with one width, so no read is partial."""
    for name, text in (
        ("memory.numa_stat", f"inactive_anon N0={local * MIB:012} N1=0\n"),
        ("memory.current", f"{(local + more) * MIB:012}\n"),
    ):
        fd = os.open(cgroup / name, os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)


class Held:
    """A holder with a bound of *bound* MiB; a context manager that ends it."""

    def __init__(self, cgroup: Path, bound: int) -> None:
        self.cgroup = cgroup
        self.fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        self.holder = Holder(
            self.fd,
            "/a",
            local=(0,),
            far=(1,),
            bound=bound * MIB,
            nodes={},
            user_high=None,
            lru_file=None,
            backend="tier",
        )

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *exc: object) -> None:
        self.holder.stop(restore=False)
        os.close(self.fd)

    def use(self, local: int) -> None:
        """Write a local usage of *local* MiB."""
        use(self.cgroup, local)

    def set(self, bound: int) -> None:
        """Set another bound, in MiB."""
        self.holder.set(bound * MIB, {})

    def until(self, seen: Callable[[Stats], bool]) -> Stats:
        """Wait until *seen* is true of the holder's stats, and return these."""
        end = time.monotonic() + SECONDS
        while not seen(stats := self.holder.stats()):
            assert time.monotonic() < end, stats
            time.sleep(0.001)
        return stats

    def looked(self) -> Stats:
        """The holder's stats after another whole turn."""
        rounds = self.holder.stats().rounds
        return self.until(lambda stats: stats.rounds > rounds + 1)
