"""The containers the agent holds: one native holder each, adopted from the records on disk."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any

from ocihook import native
from ocihook.agent.family import Families, Family
from ocihook.agent.say import say
from ocihook.backends import tier
from ocihook.cgroup import memory, path, process
from ocihook.config import Config
from ocihook.errors import AgentError, BedeError, InputError
from ocihook.spec import annotation
from ocihook.state import records, unfinished
from ocihook.topology import nodes


def _limit(value: int) -> int | None:
    return None if value == native.NO_LIMIT else value


def _bury(record: records.Record) -> None:
    """Remove *record*, whose cgroup is gone; not one that its container has got by starting anew."""
    now = records.read_or_none(record.key)
    if now is None or now.cgroup_ino == record.cgroup_ino:
        records.remove(record.key)


class Kept:
    """One container: its record, its cgroup held open, and its holder."""

    def __init__(
        self, record: records.Record, cgroup: path.Cgroup, tiers: nodes.Tiers, notify_fd: int = -1
    ) -> None:
        self.record = record
        self.cgroup = cgroup
        self.tiers = tiers
        self._notify_fd = notify_fd
        try:
            self.holder = self._hold(native.LRU_GEN)
        except OSError as error:
            # Kernel lockdown, or no debugfs: the fence alone holds too, only at a higher price.
            say(f"bede agent: container {record.id}: no demotion ahead of the fence: {error.strerror}")
            self.holder = self._hold(None)

    def _hold(self, lru_file: str | None) -> native.Holder:
        record = self.record
        return native.Holder(
            self.cgroup.fd,
            record.cgroup,
            local=self.tiers.local,
            far=self.tiers.far,
            bound=record.bound,
            nodes=record.nodes,
            user_high=record.user_high,
            user_swap_max=record.user_swap_max,
            lru_file=lru_file,
            notify_fd=self._notify_fd,
        )

    def set(self, bound: int) -> None:
        """Hold another bound from now on, and remember it. Raises BedeError, OSError."""
        for node, value in self.record.nodes.items():
            if value > bound:
                raise InputError(
                    f"the bound of node {node} is {value} bytes, more than that",
                    "Bounds of single nodes are given at the container's start",
                )
        before, self.record.bound = self.record.bound, bound
        try:
            records.write(self.record)
        except BedeError:
            self.record.bound = before
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

    def status(self) -> dict[str, Any]:
        """What ``bede ps`` shows; sizes in bytes."""
        stats = self.holder.stats()
        record = self.record
        return {
            "id": record.id,
            "key": record.key,
            "pid": record.pid,
            "cgroup": record.cgroup,
            "bound": stats.bound,
            "nodes": {str(node): value for node, value in record.nodes.items()},
            "local": stats.local,
            "far": stats.far,
            "overshoot": stats.overshoot,
            "backend": record.backend,
            "runtime": record.runtime,
            "demoted": stats.demoted,
            "stalled": stats.stalled,
            "stalls": stats.stalls,
            "fence": stats.fence,
            "fence_events": stats.fence_events,
            "rounds": stats.rounds,
        }

    def close(self, *, restore: bool) -> None:
        """Stop holding; with *restore* the user's own ``memory.high`` is put back."""
        try:
            self.holder.stop(restore=restore)
        except OSError as error:
            if error.errno != errno.ENODEV:
                say(f"bede agent: container {self.record.id}: {error.strerror}")
        self.cgroup.close()


class Keeper:
    """All containers of this host that are bound."""

    def __init__(self, config: Config, families: Families) -> None:
        self.config = config
        self.families = families
        self.kept: dict[str, Kept] = {}
        #: readable when a holder has ended, stalls or has seen the user's knobs change: see :meth:`attend`
        self.notify_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.nowhere = False  #: nothing is far now, so nothing can be held
        self._complained: set[str] = set()

    def adopt_all(self) -> bool:
        """Bring what is held in line with the records on disk; whether there is something new."""
        before = set(self.kept)
        unfinished.remove()
        found, errors = records.listing()
        for error in errors:
            self._complain(error.line("bede agent"))
        keys = {record.key for record in found}
        for key in [key for key in self.kept if key not in keys]:
            self.drop(key)
        for record in found:
            self.adopt(record)
        return bool(set(self.kept) - before)

    def adopt(self, record: records.Record) -> None:
        """Hold the container of *record*, unless it is held already or gone."""
        held = self.kept.get(record.key)
        if held is not None:
            if held.record.cgroup_ino == record.cgroup_ino:
                return
            self._forget(record.key)
        try:
            cgroup = path.reopen(record.cgroup, record.cgroup_ino)
        except BedeError as error:
            self._complain(error.line("bede agent"))
            return
        if cgroup is None:
            # Its poststop hook never came; nothing of it is left but the record.
            _bury(record)
            return
        if self.nowhere:
            cgroup.close()
            return
        try:
            tiers = nodes.present(self.config.far_nodes)
            nodes.enable_demotion()
            kept = Kept(record, cgroup, tiers, self.notify_fd)
        except (BedeError, OSError, ValueError) as error:
            # A fence that nobody moves would strangle the container.
            with contextlib.suppress(OSError):
                tier.release(cgroup.fd, record.user_high)
                tier.let_swap(cgroup.fd, record.user_swap_max)
            cgroup.close()
            self._complain(f"bede agent: container {record.id} runs without its bound: {error}")
            return
        self.kept[record.key] = kept
        try:
            self.families.add(Family.of_record(record.id, cgroup, record.pid, record.pid_start))
        except OSError as error:
            self._complain(f"bede agent: container {record.id}: its processes are not followed: {error}")

    def drop(self, key: str) -> None:
        """Stop holding *key*: its record is gone, its hook has cleaned up."""
        if key in self.kept:
            self._forget(key)

    def renew(self, tiers: nodes.Tiers | None) -> None:
        """Hold by the nodes that there are now; None: nothing is far, so fences would only strangle."""
        self.nowhere = tiers is None
        for key, kept in list(self.kept.items()):
            if tiers is None or (tiers.local, tiers.far) != (kept.tiers.local, kept.tiers.far):
                self._remember(kept)
                self._forget(key, restore=tiers is None)
        self.adopt_all()

    def attend(self) -> None:
        """Let go of containers whose cgroup has gone, and of holders that have ended."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.notify_fd)
        for key, kept in list(self.kept.items()):
            try:
                gone = path.reopen(kept.record.cgroup, kept.record.cgroup_ino)
            except BedeError as unknown:
                self._complain(unknown.line("bede agent"))
                continue
            if gone is None:
                self._forget(key)
                _bury(kept.record)
                continue
            gone.close()
            self._remember(kept)
            stats = kept.holder.stats()
            error = stats.error
            if stats.stalled:
                free, total = nodes.room(kept.tiers.far)
                self._complain(
                    f"bede agent: container {kept.record.id} is above its bound, since nothing of it can be"
                    f" demoted ({free >> 20} of {total >> 20} MiB of far memory can be had). Free far memory,"
                    " or unlock what the container has locked.",
                    about=key,
                )
            if error:
                self._complain(f"bede agent: container {kept.record.id}: {os.strerror(-error)}; held anew")
                self._forget(key)
                self.adopt(kept.record)

    def any_alive(self) -> bool:
        """Whether the first process of any container still lives."""
        held = [kept.record for kept in self.kept.values()]
        return any(process.is_same(record.pid, record.pid_start) for record in held)

    def find(self, name: str) -> Kept:
        """The container called *name*: its id, its key, or an unambiguous beginning of the id."""
        exact = [kept for kept in self.kept.values() if name in (kept.record.id, kept.record.key)]
        begins = [kept for kept in self.kept.values() if name and kept.record.id.startswith(name)]
        matches = exact or begins
        if not matches:
            raise InputError(f"no bound container is called {name!r}", "`bede ps` shows them all")
        if len(matches) > 1:
            raise InputError(f"{name!r} is the beginning of more than one container", "Write more of the id")
        return matches[0]

    def set(self, name: str, size: str) -> dict[str, Any]:
        """``bede set``: the container's status with the new bound. Raises BedeError."""
        kept = self.find(name)
        try:
            limit = memory.container_limit(kept.cgroup)
            kept.set(annotation.Amount(annotation.LOCAL, size).resolve(limit))
        except OSError as error:
            raise AgentError(f"container {kept.record.id} has ended: {error.strerror}") from None
        return kept.status()

    def close(self) -> None:
        """The agent ends, the containers do not: their fences stay where they are."""
        for key, kept in list(self.kept.items()):
            self._remember(kept)
            self._forget(key)
        os.close(self.notify_fd)

    def status(self, kept: Kept) -> dict[str, Any]:
        """What ``bede ps`` shows of *kept*."""
        family = self.families.at(kept.record.cgroup)
        return {**kept.status(), "outside": family.outside() if family else None}

    def _remember(self, kept: Kept) -> None:
        try:
            kept.remember()
        except BedeError as error:
            self._complain(error.line("bede agent"))

    def _forget(self, key: str, *, restore: bool = False) -> None:
        self._complained.discard(key)
        kept = self.kept.pop(key)
        self.families.remove(kept.record.cgroup)
        kept.close(restore=restore)

    def _complain(self, line: str, about: str = "") -> None:
        """Say *line*, once (or once *about* one container): what goes on for long is one event."""
        if (about or line) not in self._complained:
            self._complained.add(about or line)
            say(line)
