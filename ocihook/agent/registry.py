# SPDX-License-Identifier: Apache-2.0
"""The containers the agent holds: one native holder each, adopted from the records on disk."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

from ocihook import config
from ocihook.agent.container import HeldContainer, useless
from ocihook.backends import amount, undo
from ocihook.backends.holding import is_gone
from ocihook.cgroup import names, path, process
from ocihook.control.status import Change, Status
from ocihook.errors import AgentError, BedeError, InputError, MalformedError
from ocihook.follow.family import Families, Family
from ocihook.journal import INFO, WARNING, complain, know, report
from ocihook.spec.size import format_size
from ocihook.state import records, unfinished
from ocihook.topology import nodes


def _bury(record: records.Record) -> None:
    """Remove *record*, whose cgroup is gone, unless a newer start of the container has replaced it."""
    now = records.read_or_none(record.key)
    if now is None or now.cgroup_ino == record.cgroup_ino:
        undo.forget(record)


class Registry:
    """All containers of this host that are bound."""

    def __init__(self, settings: config.Config, families: Families) -> None:
        self.config = settings
        self.families = families
        self.containers: dict[str, HeldContainer] = {}
        #: readable when a holder has ended, stalls or has seen the user's limits change: see :meth:`attend`
        self.notify_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.nowhere = False  #: no node is far now, so no container can be held
        self.ready = False  #: whether to report each container that is newly held
        self._known: set[int] = set()  # inodes of cgroups whose bound has been reported
        self._complained: set[str] = set()
        self._placed: set[str] = set()  # keys of containers whose program-bound memory has been reported

    def adopt_all(self) -> bool:
        """Hold exactly the containers that have records on disk. Return whether one of them is new."""
        before = set(self.containers)
        unfinished.remove()
        found, errors = records.listing()
        keys = {record.key for record in found}
        for error in errors:
            if isinstance(error, MalformedError) and error.name in self.containers:
                keys.add(error.name)
                error = self._write_again(self.containers[error.name], error)
            self._complain(error, "bad_record")
        for key in [key for key in self.containers if key not in keys]:
            self.drop(key)
        for record in found:
            self.adopt(record)
        return bool(set(self.containers) - before)

    def adopt(self, record: records.Record) -> None:
        """Hold the container of *record*, unless it is held already or gone."""
        held = self.containers.get(record.key)
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
            # The runtime never ran its poststop hook, and only the record is left.
            _bury(record)
            return
        if self.nowhere:
            cgroup.close()
            return
        try:
            self._read_settings()
            tiers = nodes.present(self.config.far_nodes)
            container = HeldContainer(record, cgroup, tiers, self.notify_fd, self.config)
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
        self.containers[record.key] = container
        try:
            self.families.add(Family.of_record(record.id, cgroup, record.pid, record.pid_start))
        except OSError as error:
            why = InputError(f"its processes are not followed: {error}")
            self._complain(why, "not_followed", record.id)
        if record.cgroup_ino not in self._known:
            self._known.add(record.cgroup_ino)
            if self.ready:
                self._tell(container, "bound", f"its local memory is bound to {format_size(record.bound)}")
                self._warn_useless(container, useless(container))

    def _read_settings(self) -> None:
        """Read the configuration again: the hook used the file as it is now, so the holder must, too."""
        try:
            found = config.load()
        except BedeError as error:
            self._complain(error, "config")
        else:
            self.config.far_nodes, self.config.move_rate = found.far_nodes, found.move_rate
            self.config.promotion = found.promotion

    def drop(self, key: str) -> None:
        """Stop holding container *key*: its hook has removed its record and its fence."""
        if key in self.containers:
            self._tell_end(self.containers[key])
            # the holder may have written the fence again after the hook removed it
            self._forget(key, restore=True)

    def renew(self, tiers: nodes.Tiers | None) -> None:
        """Hold all containers by *tiers*. None means that no node is far now: then remove all fences.

        Without a far node nothing can be demoted, so a fence would strangle its container.
        """
        self.nowhere = tiers is None
        for key, container in list(self.containers.items()):
            if tiers is None or (tiers.local, tiers.far) != (container.tiers.local, container.tiers.far):
                self._remember(container)
                if tiers is None:
                    self._tell(container, "unbound", "its bound is lifted: no far memory is left")
                self._forget(key, restore=tiers is None)
        self.adopt_all()

    def attend(self) -> None:
        """Forget containers whose cgroup is gone, report troubles, and replace holders that have failed."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.notify_fd)
        for key, container in list(self.containers.items()):
            try:
                cgroup = path.reopen(container.record.cgroup, container.record.cgroup_ino)
            except BedeError as unknown:
                self._complain(unknown, "unknown", container.record.id)
                continue
            if cgroup is None:
                self._tell_end(container)
                self._forget(key)
                _bury(container.record)
                continue
            cgroup.close()
            self._remember(container)
            stats = container.holder.stats()
            error = stats.error
            if stats.program_bound and key not in self._placed:
                self._placed.add(key)
                text = "left there and counted, for its programs have placed it by policies of their own"
                self._tell(
                    container, "own", f"{stats.program_bound >> 20} MiB of its local memory are {text}"
                )
            for event, trouble in container.troubles(stats):
                self._complain(trouble, event, container.record.id, about=f"{key} {event}")
            if error:
                why = AgentError(f"its holder ended ({os.strerror(-error)}); the agent starts a new one")
                self._complain(why, "held_anew", container.record.id)
                self._forget(key)
                self.adopt(container.record)

    def look_after(self) -> None:
        """Put back settings of containers that other programs have changed."""
        for container in self.containers.values():
            container.look_after()

    def any_alive(self) -> bool:
        """Return whether the first process of any container still lives."""
        return any(
            process.is_same(container.record.pid, container.record.pid_start)
            for container in self.containers.values()
        )

    def find(self, key: str) -> HeldContainer:
        """Return the held container whose record has *key*. Raises InputError if there is none.

        The client has found the key by the name that the user gave.
        """
        container = self.containers.get(key)
        if container is None:
            raise InputError("the container has ended, or is not held any more", "`bede ps` shows them all")
        return container

    def set(self, key: str, size: str) -> Change:
        """Carry out ``bede set``. Return the container's status with the new bound. Raises BedeError."""
        container = self.find(key)
        before = container.record.bound
        try:
            if size == amount.DEFAULT:
                container.set_default()
            else:
                container.set(
                    amount.resolve(size, container.cgroup, container.tiers.local), container.record.nodes
                )
            why = amount.useless(size, container.record.bound, container.cgroup, container.tiers.local)
        except OSError as error:
            raise AgentError(
                f"container {names.short(container.record.id)} has ended: {error.strerror}"
            ) from None
        record = container.record
        try:
            container.choose(None if size == amount.DEFAULT else record.bound)
        except BedeError as error:
            self._complain(error, "not_remembered", record.id)
        text = f"its bound was {format_size(before)} and is {format_size(container.record.bound)}"
        self._tell(container, "set", text)
        self._warn_useless(container, why)
        lasts = size == amount.DEFAULT or not names.is_of_pod(record.id, record.cgroup)
        return Change(container.status(), useless=why, lasts=lasts)

    def close(self) -> None:
        """Stop all holders when the agent ends. Containers go on, and their fences stay as they are."""
        for key in list(self.containers):
            self._remember(self.containers[key])
            self._forget(key)
        os.close(self.notify_fd)

    def status(self, container: HeldContainer) -> Status:
        """Return what ``bede ps`` shows of *container*."""
        family = self.families.at(container.record.cgroup)
        return replace(container.status(), outside=family.outside() if family else None)

    def _remember(self, container: HeldContainer) -> None:
        try:
            container.remember()
        except BedeError as error:
            self._complain(error, "not_remembered", container.record.id)

    def _write_again(self, container: HeldContainer, why: MalformedError) -> BedeError:
        """Write the malformed record of a held container again, from memory. Return the error to report."""
        try:
            records.write(container.record)
        except BedeError as error:
            return error
        return InputError(f"{why.message}; it is written again")

    def _forget(self, key: str, *, restore: bool = False) -> None:
        self._complained.discard(f"{key} stalled")  # report the next stall again
        self._placed.discard(key)
        container = self.containers.pop(key)
        self.families.remove(container.record.cgroup)
        container.close(restore=restore)

    def _complain(self, error: BedeError, event: str, container: str = "", about: str = "") -> None:
        """Report *error* once, or once for each *about*: a problem that lasts is one event."""
        what = about or f"{container} {error.message}"
        if what not in self._complained:
            self._complained.add(what)
            complain(error, event, container)

    def _tell_end(self, container: HeldContainer) -> None:
        self._known.discard(container.record.cgroup_ino)
        stats = container.holder.stats()
        most = (
            f"{stats.overshoot >> 10} KiB above its bound at most"
            if stats.overshoot
            else "never above its bound"
        )
        self._tell(
            container, "ended", f"it has ended: {most}, {stats.demoted >> 20} MiB demoted by the agent"
        )

    def _warn_useless(self, container: HeldContainer, why: str) -> None:
        if why:
            report(why, "useless", WARNING, container.record.id, bound=container.record.bound)

    def _tell(self, container: HeldContainer, event: str, text: str) -> None:
        stats, record = container.holder.stats(), container.record
        seen = {"demoted": stats.demoted, "overshoot": stats.overshoot}
        report(text, event, INFO, record.id, cgroup=record.cgroup, bound=record.bound, **seen)
