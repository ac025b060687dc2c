# SPDX-License-Identifier: Apache-2.0
"""The containers the agent holds: one native holder each, adopted from the records on disk."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

from ocihook import config
from ocihook.agent.family import Families, Family
from ocihook.agent.kept import Kept, useless
from ocihook.agent.say import INFO, WARNING, complain, know, say
from ocihook.backends import amount, choose, undo
from ocihook.backends.holding import is_gone
from ocihook.cgroup import names, path, process
from ocihook.control.status import Change, Status
from ocihook.errors import AgentError, BedeError, InputError, MalformedError
from ocihook.spec.size import format_size
from ocihook.state import records, unfinished
from ocihook.topology import nodes


def _bury(record: records.Record) -> None:
    """Remove *record*, whose cgroup is gone; not one that its container has got by starting anew."""
    now = records.read_or_none(record.key)
    if now is None or now.cgroup_ino == record.cgroup_ino:
        undo.forget(record)


class Keeper:
    """All containers of this host that are bound."""

    def __init__(self, settings: config.Config, families: Families) -> None:
        self.config = settings
        self.families = families
        self.kept: dict[str, Kept] = {}
        #: readable when a holder has ended, stalls or has seen the user's knobs change: see :meth:`attend`
        self.notify_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.nowhere = False  #: nothing is far now, so nothing can be held
        self.ready = False  #: whether what is held from now on is news
        self._known: set[int] = set()  # the cgroups whose bound has been told of, or is no news
        self._complained: set[str] = set()
        self._placed: set[str] = set()  # keys of those of whose own policies has been told

    def adopt_all(self) -> bool:
        """Bring what is held in line with the records on disk; whether there is something new."""
        before = set(self.kept)
        unfinished.remove()
        found, errors = records.listing()
        keys = {record.key for record in found}
        for error in errors:
            if isinstance(error, MalformedError) and error.name in self.kept:
                keys.add(error.name)
                error = self._write_again(self.kept[error.name], error)
            self._complain(error, "bad_record")
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
        know(record.id, record.cgroup)
        try:
            cgroup = path.reopen(record.cgroup, record.cgroup_ino)
        except BedeError as error:
            self._complain(error, "unknown", record.id)
            return
        if cgroup is None:
            # Its poststop hook never came; nothing of it is left but the record.
            _bury(record)
            return
        if self.nowhere:
            cgroup.close()
            return
        try:
            self._read_settings()
            tiers = nodes.present(self.config.far_nodes)
            choose.named(record.backend).resume(cgroup, record)
            kept = Kept(record, cgroup, tiers, self.notify_fd, self.config.move_rate)
        except (BedeError, OSError, ValueError) as error:
            # A fence that nobody moves would strangle the container.
            with contextlib.suppress(OSError):
                undo.give_back(cgroup.fd, record)
            cgroup.close()
            if is_gone(record):
                _bury(record)
                return
            why = InputError(f"it runs without its bound: {error}")
            self._complain(why, "unbound", record.id)
            return
        self.kept[record.key] = kept
        try:
            self.families.add(Family.of_record(record.id, cgroup, record.pid, record.pid_start))
        except OSError as error:
            why = InputError(f"its processes are not followed: {error}")
            self._complain(why, "not_followed", record.id)
        if record.cgroup_ino not in self._known:
            self._known.add(record.cgroup_ino)
            if self.ready:
                self._tell(kept, "bound", f"its local memory is bound to {format_size(record.bound)}")
                self._warn_useless(kept, useless(kept))

    def _read_settings(self) -> None:
        """As the hook has just done: its container is held by what the file says now."""
        try:
            found = config.load()
        except BedeError as error:
            self._complain(error, "config")
        else:
            self.config.far_nodes, self.config.move_rate = found.far_nodes, found.move_rate

    def drop(self, key: str) -> None:
        """Stop holding *key*: its record is gone, its hook has cleaned up."""
        if key in self.kept:
            self._tell_end(self.kept[key])
            self._forget(key, restore=True)  # its holder may have moved the fence since

    def renew(self, tiers: nodes.Tiers | None) -> None:
        """Hold by the nodes that there are now; None: nothing is far, so fences would only strangle."""
        self.nowhere = tiers is None
        for key, kept in list(self.kept.items()):
            if tiers is None or (tiers.local, tiers.far) != (kept.tiers.local, kept.tiers.far):
                self._remember(kept)
                if tiers is None:
                    self._tell(kept, "unbound", "its bound is lifted: no far memory is left")
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
                self._complain(unknown, "unknown", kept.record.id)
                continue
            if gone is None:
                self._tell_end(kept)
                self._forget(key)
                _bury(kept.record)
                continue
            gone.close()
            self._remember(kept)
            stats = kept.holder.stats()
            error = stats.error
            if stats.own and key not in self._placed:
                self._placed.add(key)
                text = "left there and counted, for its programs have placed it by policies of their own"
                self._tell(kept, "own", f"{stats.own >> 20} MiB of its local memory are {text}")
            for event, trouble in kept.troubles():
                self._complain(trouble, event, kept.record.id, about=f"{key} {event}")
            if error:
                self._complain(AgentError(f"{os.strerror(-error)}; held anew"), "held_anew", kept.record.id)
                self._forget(key)
                self.adopt(kept.record)

    def look_after(self) -> None:
        """Put back what others have taken from containers."""
        for kept in self.kept.values():
            kept.look_after()

    def any_alive(self) -> bool:
        """Whether the first process of any container still lives."""
        return any(process.is_same(kept.record.pid, kept.record.pid_start) for kept in self.kept.values())

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

    def set(self, name: str, size: str) -> Change:
        """``bede set``: the container's status with the new bound. Raises BedeError."""
        kept = self.find(name)
        before = kept.record.bound
        try:
            if size == amount.DEFAULT:
                kept.set_default()
            else:
                kept.set(amount.resolve(size, kept.cgroup, kept.tiers.local), kept.record.nodes)
            why = amount.useless(size, kept.record.bound, kept.cgroup, kept.tiers.local)
        except OSError as error:
            raise AgentError(f"container {names.short(kept.record.id)} has ended: {error.strerror}") from None
        try:
            kept.choose(None if size == amount.DEFAULT else kept.record.bound)
        except BedeError as error:
            self._complain(error, "not_remembered", kept.record.id)
        text = f"its bound was {format_size(before)} and is {format_size(kept.record.bound)}"
        self._tell(kept, "set", text)
        self._warn_useless(kept, why)
        return Change(kept.status(), useless=why)

    def close(self) -> None:
        """The agent ends, the containers do not: their fences stay where they are."""
        for key in list(self.kept):
            self._remember(self.kept[key])
            self._forget(key)
        os.close(self.notify_fd)

    def status(self, kept: Kept) -> Status:
        """What ``bede ps`` shows of *kept*."""
        family = self.families.at(kept.record.cgroup)
        return replace(kept.status(), outside=family.outside() if family else None)

    def _remember(self, kept: Kept) -> None:
        try:
            kept.remember()
        except BedeError as error:
            self._complain(error, "not_remembered", kept.record.id)

    def _write_again(self, kept: Kept, why: MalformedError) -> BedeError:
        """The record of a container that is held is known; what to say of it."""
        try:
            records.write(kept.record)
        except BedeError as error:
            return error
        return InputError(f"{why.message}; it is written again")

    def _forget(self, key: str, *, restore: bool = False) -> None:
        self._complained -= {what for what in self._complained if what.startswith(f"{key} ")}
        self._placed.discard(key)
        kept = self.kept.pop(key)
        self.families.remove(kept.record.cgroup)
        kept.close(restore=restore)

    def _complain(self, error: BedeError, event: str, container: str = "", about: str = "") -> None:
        """Tell of *error*, once (or once *about* one container): what goes on for long is one event."""
        what = about or f"{container} {error.message}"
        if what not in self._complained:
            self._complained.add(what)
            complain(error, event, container)

    def _tell_end(self, kept: Kept) -> None:
        self._known.discard(kept.record.cgroup_ino)
        stats = kept.holder.stats()
        most = (
            f"{stats.overshoot >> 10} KiB above its bound at most"
            if stats.overshoot
            else "never above its bound"
        )
        self._tell(
            kept, "ended", f"it has ended: {most}, {stats.demoted >> 20} MiB demoted ahead of the fence"
        )

    def _warn_useless(self, kept: Kept, why: str) -> None:
        if why:
            say(why, "useless", WARNING, kept.record.id, bound=kept.record.bound)

    def _tell(self, kept: Kept, event: str, text: str) -> None:
        stats, record = kept.holder.stats(), kept.record
        seen = {"demoted": stats.demoted, "overshoot": stats.overshoot}
        say(text, event, INFO, record.id, cgroup=record.cgroup, bound=record.bound, **seen)
