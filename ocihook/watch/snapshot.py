# SPDX-License-Identifier: Apache-2.0
"""The state of bound containers at one instant, with rates since the instant before."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from ocihook.backends import choose
from ocihook.cgroup import names, path
from ocihook.cgroup.path import Cgroup
from ocihook.control.status import Status
from ocihook.errors import printable
from ocihook.watch import counters
from ocihook.watch.counters import Counters
from ocihook.watch.roster import Roster
from ocihook.watch.usage import Usage


@dataclass(frozen=True)
class Row:
    """One container at one instant: bytes, and bytes a second if there was an instant before."""

    time: float  #: seconds since the epoch
    clock: float  #: seconds of the monotonic clock
    container: Status  #: of ``containers.listing()``
    bound: int
    local: int
    far: int
    counters: Counters
    demoting: float | None = None
    promoting: float | None = None
    steering: float | None = None

    @property
    def name(self) -> str:
        """Return the container's name, else its short id."""
        return printable(self.container.name or names.short(self.container.id))

    @property
    def share(self) -> float:
        """Return local usage as per cent of the bound."""
        return 100 * self.local / self.bound if self.bound else 0.0

    @property
    def overshoot(self) -> int:
        """Return the most bytes by which local usage is known to have exceeded the bound."""
        return max(int(self.container.overshoot), self.local - self.bound, 0)


def rate(before: int | None, after: int | None, seconds: float) -> float | None:
    """Return the growth of a counter per second; None if it is not known.

    A counter that is smaller than before has started again at 0.
    """
    if before is None or after is None or seconds <= 0:
        return None
    return (after - before if after >= before else after) / seconds


class Snapshots:
    """Snapshots of the containers of a roster. A context manager: leaving closes their cgroups."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self._usage = Usage(roster.tiers)
        self._open: dict[str, Cgroup] = {}
        self._before: dict[str, Row] = {}

    def close(self) -> None:
        """Close all descriptors."""
        self._usage.close()
        self._keep(())

    def __enter__(self) -> Snapshots:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def take(self) -> list[Row]:
        """Return a row for each container as of now, except for those that have ended. Raises HostError."""
        found = self.roster.found
        self._keep({container.cgroup for container in found})
        for container in found:
            if container.cgroup not in self._open:
                cgroup = path.reopen(container.cgroup, container.inode)
                if cgroup is not None:
                    self._open[container.cgroup] = cgroup
        self._usage.tiers = self.roster.tiers
        epoch, clock = time.time(), time.monotonic()
        used = self._usage.read(self._open.values())
        rows = [self._row(container, used, epoch, clock) for container in found if container.cgroup in used]
        by_cgroup = {row.container.cgroup: row for row in rows if row is not None}
        self._keep(by_cgroup)
        self._before = by_cgroup
        return list(by_cgroup.values())

    def _row(
        self, container: Status, used: dict[str, tuple[int, int]], epoch: float, clock: float
    ) -> Row | None:
        where = container.cgroup
        counts = counters.of(self._open[where], container)
        if counts is None:
            return None
        before = self._before.get(where)
        past = before.counters if before else Counters()
        seconds = clock - before.clock if before else 0.0
        return Row(
            epoch,
            clock,
            container,
            self._bound(container),
            *used[where],
            counts,
            rate(past.demoted, counts.demoted, seconds),
            rate(past.promoted, counts.promoted, seconds),
            rate(past.steered_bytes, counts.steered_bytes, seconds),
        )

    def _bound(self, container: Status) -> int:
        """Return the bound that is in force now."""
        backend = choose.named(container.backend)
        return backend.bound(container, self._open[container.cgroup].fd, self.roster.tiers)

    def _keep(self, paths: Iterable[str]) -> None:
        keep = set(paths)
        for gone in [where for where in self._open if where not in keep]:
            self._open.pop(gone).close()
            self._before.pop(gone, None)
