# SPDX-License-Identifier: Apache-2.0
"""Finds fences of Bede's whose record was lost or was overwritten with something else.

Nobody would move such a fence, and it would strangle its container. The kernel keeps a copy of the record
beside the fence (``state/mark.py``): the record is written anew from it, or else the fence is removed.
"""

from __future__ import annotations

from ocihook import fs
from ocihook.backends import undo
from ocihook.cgroup import memory, names, path, tree
from ocihook.cgroup.path import Cgroup
from ocihook.errors import BedeError, InputError, MalformedError
from ocihook.journal import WARNING, complain, report
from ocihook.state import chosen, mark, record, records


def restore_lost_records(*, remove: bool = True) -> None:
    """Restore the record of each fence, or remove the fence. Call this before any container is adopted.

    *remove* also removes malformed records whose container is not found.
    """
    try:
        found, errors = records.listing()
        settling = _Settling(found, [error for error in errors if isinstance(error, MalformedError)])
        for cgroup in tree.having(path.mount_point(), "memory.high"):
            settling.look(cgroup)
        if remove:
            settling.remove()
    except OSError as error:
        complain(InputError(f"the agent cannot look for fences without a record: {error}"), "bad_record")
    except BedeError as error:
        complain(error, "bad_record")


class _Settling:
    """Compares cgroups with the records that were *found*, and with the errors of *malformed* ones."""

    def __init__(self, found: list[records.Record], malformed: list[MalformedError]) -> None:
        self._known = {(entry.cgroup, entry.cgroup_ino): entry for entry in found}
        self._lost = {error.name: error for error in malformed}

    def look(self, cgroup: Cgroup) -> None:
        """Make sure that *cgroup* either has a record, or has no fence of Bede's."""
        text = mark.read(cgroup.fd)
        held = self._known.get((cgroup.path, cgroup.inode))
        try:
            if held is not None:
                if text != held.dumps():
                    # The record changed after the start, or a Bede without marks wrote it. Only full root
                    # may write a mark: in systemd's unit this fails, and the old mark stays.
                    mark.put(cgroup.fd, held)
            elif text is not None:
                self._make_anew(cgroup, text)
            elif self._lost and self._is_fenced_by_name(cgroup):
                self._give_back(cgroup, "")
        except OSError:
            return  # the cgroup has vanished
        except BedeError as error:
            complain(error, "bad_record", names.id_of(cgroup.path))

    def remove(self) -> None:
        """Remove the malformed records whose container was not found. Raises AccessError."""
        for key, error in self._lost.items():
            if records.remove(key):
                text = f"{error.message}; it is removed, for no container of it is found"
                complain(InputError(text), "bad_record")

    def _has_lost(self, cgroup: Cgroup) -> bool:
        return names.id_of(cgroup.path) in (_id(key) for key in self._lost)

    def _is_fenced_by_name(self, cgroup: Cgroup) -> bool:
        """Return whether *cgroup* has a fence, and the id of a lost record in its name.

        Hosts that cannot store marks need this.
        """
        if not self._has_lost(cgroup):
            return False
        return memory.high(cgroup.fd) is not None and bool(fs.read("cgroup.procs", dir_fd=cgroup.fd))

    def _make_anew(self, cgroup: Cgroup, text: str) -> None:
        what = f"the mark of {cgroup.path}"
        try:
            marked = record.parse(text, what)
            now = records.read_or_none(marked.key)
            if now is not None and now.cgroup_ino == cgroup.inode:
                return  # the container's hook has written the record just now
            if now is not None or (marked.cgroup, marked.cgroup_ino) != (cgroup.path, cgroup.inode):
                raise InputError(f"{what} is another container's")
        except InputError:
            # An earlier agent may have removed the fence, but without full root it could not remove the mark.
            if self._has_lost(cgroup) or memory.high(cgroup.fd) != record.own_limits(text)[0]:
                self._give_back(cgroup, text)
            return
        if marked.key not in self._lost and memory.high(cgroup.fd) == marked.user_high:
            mark.remove(cgroup.fd)  # the bound was lifted, and only the mark is left
            return
        since = chosen.read_or_none(marked.id)
        if since is not None:
            marked.bound = since.bound
            marked.nodes = {node: min(value, since.bound) for node, value in marked.nodes.items()}
        try:
            records.write(marked)
        except BedeError:
            self._give_back(cgroup, text)
            raise
        self._report(marked.id, marked.key, "is made anew of what the kernel has kept of it")

    def _give_back(self, cgroup: Cgroup, text: str) -> None:
        """Put the user's own limits back, as far as the mark *text* contains them."""
        id = names.id_of(cgroup.path)
        undo.give_back_limits(cgroup.fd, *record.own_limits(text))
        key = next((key for key in self._lost if _id(key) == id), "")
        if key:
            records.remove(key)
        self._report(id, key, "cannot be made anew: it runs without its bound, by its own memory.high")

    def _report(self, id: str, key: str, what: str) -> None:
        lost = self._lost.pop(key, None)
        why = f" ({lost.message})" if lost else ""
        report(f"its record was lost{why} and {what}", "lost_record", WARNING, id)


def _id(key: str) -> str:
    return key.rpartition("-")[0]
