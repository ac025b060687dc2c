# SPDX-License-Identifier: Apache-2.0
"""One container that the agent holds: its record, its cgroup and its native holder."""

from __future__ import annotations

import contextlib
import errno

from ocihook import native
from ocihook.agent.say import ERROR, WARNING, say
from ocihook.backends import checks, choose, cpus, migrate
from ocihook.cgroup import memory, path
from ocihook.control.status import Status
from ocihook.errors import AgentError, BedeError, InputError
from ocihook.spec import annotation
from ocihook.state import chosen, records
from ocihook.topology import nodes


def _limit(value: int) -> int | None:
    return None if value == native.NO_LIMIT else value


def is_gone(record: records.Record) -> bool:
    """Whether the cgroup of *record* is no more; what cannot be told is no."""
    try:
        cgroup = path.reopen(record.cgroup, record.cgroup_ino)
    except BedeError:
        return False
    if cgroup is None:
        return True
    cgroup.close()
    return False


class Kept:
    """One container: its record, its cgroup held open, and its holder."""

    def __init__(
        self,
        record: records.Record,
        cgroup: path.Cgroup,
        tiers: nodes.Tiers,
        notify_fd: int = -1,
        move_rate: int = 0,
    ) -> None:
        self.record = record
        self.cgroup = cgroup
        self.tiers = tiers
        self._notify_fd = notify_fd
        self._move_rate = move_rate << 20
        try:
            self.holder = self._hold(native.LRU_GEN)
        except OSError as error:
            if is_gone(record) or record.backend == choose.MIGRATE:
                raise
            # Kernel lockdown, or no debugfs: the fence alone holds too, only at a higher price.
            why = f"no demotion ahead of the fence: {error.strerror}"
            say(why, "no_demotion", WARNING, record.id)
            self.holder = self._hold(None)

    def _hold(self, lru_file: str | None) -> native.Holder:
        record = self.record
        tiers = self.tiers
        if record.backend == choose.MIGRATE:
            # Nothing can be moved to where its cpuset does not let it.
            tiers = migrate.allowed(self.cgroup.fd, record.cpuset, tiers)
        return native.Holder(
            self.cgroup.fd,
            record.cgroup,
            local=tiers.local,
            far=tiers.far,
            bound=record.bound,
            nodes=record.nodes,
            user_high=record.user_high,
            user_swap_max=record.user_swap_max,
            lru_file=lru_file,
            notify_fd=self._notify_fd,
            migrate=self._migrate(),
        )

    def _migrate(self) -> native.Migrate | None:
        given = self.record.cpuset
        if self.record.backend != choose.MIGRATE:
            return None
        steered = migrate.is_valid(given)
        if given and not steered:
            migrate.release(self.cgroup.fd, given)  # else it could not leave its local nodes
        return native.Migrate(
            given.get(migrate.HOME, ""), given.get(migrate.AWAY, ""), steered, self._move_rate
        )

    def keep_near(self) -> None:
        """Put the container's processors back where they have been taken for none."""
        with contextlib.suppress(OSError):
            cpus.keep(self.cgroup.fd, self.record.cpuset.get(migrate.NEAR, ""))

    def set_default(self) -> None:
        """Hold the bound that was asked for at the start from now on. Raises BedeError, OSError."""
        policy = annotation.parse(self.record.policy)
        if policy is None:
            raise InputError("its record does not say what was asked for", "Give it a bound as a size")
        self.set(*policy.resolve(memory.container_limit(self.cgroup)))

    def choose(self, bound: int | None) -> None:
        """Have it start with that bound from now on; None: with its annotation's. Raises BedeError."""
        if bound is None:
            chosen.forget(self.record.id)
        else:
            chosen.write(self.record.id, chosen.Chosen(bound, self.record.bundle))

    def set(self, bound: int, own: dict[int, int]) -> None:
        """Hold another bound from now on, and *own* ones by node, and remember. Raises BedeError, OSError."""
        for node, value in own.items():
            if value > bound:
                raise InputError(
                    f"the bound of node {node} is {value} bytes, more than that",
                    "Bounds of single nodes are given at the container's start",
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
        """Keep on disk what the user has set since the start, for the next agent. Raises BedeError."""
        stats, record = self.holder.stats(), self.record
        given = (_limit(stats.user_high), _limit(stats.user_swap_max))
        # Before its first turn a holder has seen nothing.
        if stats.rounds and given != (record.user_high, record.user_swap_max):
            record.user_high, record.user_swap_max = given
            records.write(record)

    def status(self) -> Status:
        """What ``bede ps`` shows; sizes in bytes."""
        stats = self.holder.stats()
        record = self.record
        return Status(
            id=record.id,
            key=record.key,
            pid=record.pid,
            cgroup=record.cgroup,
            bound=stats.bound,
            nodes={str(node): value for node, value in record.nodes.items()},
            local=stats.local,
            far=stats.far,
            overshoot=stats.overshoot,
            backend=record.backend,
            runtime=record.runtime,
            asked=record.policy,
            created=record.created,
            user_high=_limit(stats.user_high),
            demoted=stats.demoted,
            promoted=stats.promoted,
            program_bound=stats.own,
            mover_us=stats.mover_us,
            steered=stats.steered,
            away=stats.away,
            stalled=stats.stalled,
            stalls=stats.stalls,
            fence=stats.fence,
            fence_events=stats.fence_events,
            rounds=stats.rounds,
        )

    def close(self, *, restore: bool) -> None:
        """Stop holding; with *restore* the user's own ``memory.high`` is put back."""
        try:
            self.holder.stop(restore=restore)
        except OSError as error:
            if error.errno != errno.ENODEV:
                say(str(error.strerror), "not_released", ERROR, self.record.id)
        self.cgroup.close()


def useless(kept: Kept) -> str:
    """Why the bound of *kept* holds nothing back; "" where it does."""
    try:
        limit = memory.container_limit(kept.cgroup)
    except (BedeError, OSError):
        return ""  # it has ended
    return checks.useless(kept.record.bound, kept.record.nodes, limit, kept.tiers.local)


def stalled(kept: Kept, stats: native.Stats) -> AgentError:
    """Why the container of *kept* stays above its bound."""
    free, total = nodes.room(kept.tiers.far)
    room = f"{free >> 20} of {total >> 20} MiB of far memory can be had"
    if kept.record.backend != choose.MIGRATE:
        return AgentError(
            f"it is above its bound, since nothing of it can be demoted ({room})",
            "Free far memory, or unlock what the container has locked",
        )
    if stats.own and stats.own >= (stats.local - stats.bound) // 2:
        return AgentError(
            f"it is above its bound: {stats.own >> 20} MiB are where its programs bind them by policies of"
            " their own (numactl, mbind), and stay there",
            "Let its programs leave that to Bede, or give it a higher bound",
        )
    full = free < stats.local - stats.bound
    return AgentError(
        f"it is above its bound, since its pages cannot be moved ({room})",
        "Free far memory"
        if full
        else "Page cache that no process has mapped cannot be: let memory.reclaim of its cgroup drop some",
    )
