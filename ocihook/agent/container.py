# SPDX-License-Identifier: Apache-2.0
"""One container that the agent holds: its record, its cgroup and its native holder."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ocihook import native
from ocihook.backends import checks, choose, holding
from ocihook.backends.backend import AgentServices
from ocihook.cgroup import memory, path
from ocihook.config import Config
from ocihook.control.status import Status
from ocihook.errors import BedeError, InputError
from ocihook.journal import ERROR, WARNING, report
from ocihook.spec import annotation
from ocihook.state import chosen, records
from ocihook.topology import nodes


class HeldContainer:
    """One container: its record, its cgroup held open, and its holder."""

    def __init__(
        self,
        record: records.Record,
        cgroup: path.Cgroup,
        tiers: nodes.Tiers,
        notify_fd: int = -1,
        config: Config | None = None,
    ) -> None:
        self.record = record
        self.cgroup = cgroup
        self.tiers = tiers
        self.backend = choose.named(record.backend)

        def warn(text: str, event: str) -> None:
            report(text, event, WARNING, record.id)

        self.holder = self.backend.hold(
            cgroup, record, tiers, AgentServices(notify_fd, config or Config(), warn)
        )

    def look_after(self) -> None:
        """Put back settings of the container that other programs have changed."""
        self.backend.look_after(self.cgroup.fd, self.record)

    def troubles(self, stats: native.Stats) -> Iterator[tuple[str, BedeError]]:
        """Yield what is wrong with the container by *stats*, the figures of its holder.

        Each item is (name of the event, error).
        """
        return self.backend.troubles(self.record, self.tiers, stats)

    def set_default(self) -> None:
        """Hold from now on the bound that the container's annotations ask for. Raises BedeError, OSError."""
        policy = annotation.parse(self.record.policy)
        if policy is None:
            raise InputError(
                "the container's record has no annotation that asks for a bound", "Give the bound as a size"
            )
        self.set(*policy.resolve(memory.container_limit(self.cgroup)))

    def choose(self, bound: int | None) -> None:
        """Keep *bound* for later starts of the container; None means its annotation's. Raises BedeError."""
        if bound is None:
            chosen.forget(self.record.id)
        else:
            chosen.write(self.record.id, chosen.Chosen(bound, self.record.bundle))

    def set(self, bound: int, own: dict[int, int]) -> None:
        """Hold *bound* from now on, with *own* bounds by node, and record both. Raises BedeError, OSError."""
        for node, value in own.items():
            if value > bound:
                raise InputError(
                    f"the bound {bound} is smaller than the container's bound of node {node}, {value}",
                    f"Give {value} bytes or more, or start the container with a smaller bound of that node",
                )
        before = self.record.bound, self.record.nodes
        self.record.bound, self.record.nodes = bound, own
        try:
            records.write(self.record)
        except BedeError:
            self.record.bound, self.record.nodes = before
            raise
        self.holder.set(bound, self.record.nodes)

    def remember(self) -> None:
        """Record the limits that the user has set since the start, for the next agent. Raises BedeError."""
        stats, record = self.holder.stats(), self.record
        given = (holding.limit(stats.user_high), holding.limit(stats.user_swap_max))
        # Before its first round a holder has not read any limit.
        if stats.rounds and given != (record.user_high, record.user_swap_max):
            record.user_high, record.user_swap_max = given
            records.write(record)

    def status(self) -> Status:
        """Return what ``bede ps`` shows of the container; sizes are in bytes."""
        return self.backend.status(self.record, self.holder.stats())

    def close(self, *, restore: bool) -> None:
        """Stop holding the container; *restore* also puts its user's own ``memory.high`` back."""
        try:
            self.holder.stop(restore=restore)
        except OSError as error:
            if error.errno != errno.ENODEV:
                report(str(error.strerror), "not_released", ERROR, self.record.id)
        self.cgroup.close()


def useless(container: HeldContainer) -> str:
    """Return why the bound of *container* has no effect; "" if it has an effect."""
    try:
        limit = memory.container_limit(container.cgroup)
    except (BedeError, OSError):
        return ""  # it has ended
    return checks.useless(container.record.bound, container.record.nodes, limit, container.tiers.local)
