# SPDX-License-Identifier: Apache-2.0
"""Fences of Bede's that no record speaks for: it was lost, or has come to hold something else.

Nobody would move such a fence, and it would strangle its container. What is left of the bound stands in the
kernel, beside the fence (``state/mark.py``): the record is made anew of it, else the fence is given back.
"""

from __future__ import annotations

from ocihook import fs
from ocihook.backends import undo
from ocihook.cgroup import memory, names, path, tree
from ocihook.cgroup.path import Cgroup
from ocihook.errors import BedeError, InputError, MalformedError
from ocihook.journal import WARNING, complain, report
from ocihook.state import chosen, mark, record, records


def settle(*, remove: bool = True) -> None:
    """See that each fence has a record again, or is gone; before any container is adopted.

    With *remove*, malformed records go that no container is found of.
    """
    try:
        found, errors = records.listing()
        settling = _Settling(found, [error for error in errors if isinstance(error, MalformedError)])
        for cgroup in tree.having(path.mount_point(), "memory.high"):
            settling.look(cgroup)
        if remove:
            settling.remove()
    except OSError as error:
        complain(InputError(f"fences without a record are not looked for: {error}"), "bad_record")
    except BedeError as error:
        complain(error, "bad_record")


class _Settling:
    """The records that are *found*, and the errors of those that hold something else."""

    def __init__(self, found: list[records.Record], malformed: list[MalformedError]) -> None:
        self._known = {(one.cgroup, one.cgroup_ino): one for one in found}
        self._lost = {error.name: error for error in malformed}

    def look(self, cgroup: Cgroup) -> None:
        """See that *cgroup* is held by a record, or free."""
        text = mark.read(cgroup.fd)
        held = self._known.get((cgroup.path, cgroup.inode))
        try:
            if held is not None:
                if text != held.dumps():
                    # Changed since, or begun by a Bede that knew no marks. As systemd's unit it may not.
                    mark.put(cgroup.fd, held)
            elif text is not None:
                self._make_anew(cgroup, text)
            elif self._lost and self._is_fenced_by_name(cgroup):
                self._give_back(cgroup, "")
        except OSError:
            return  # it has vanished
        except BedeError as error:
            complain(error, "bad_record", names.id_of(cgroup.path))

    def remove(self) -> None:
        """Remove the malformed records that nobody is left of. Raises AccessError."""
        for key, error in self._lost.items():
            if records.remove(key):
                text = f"{error.message}; it is removed, for no container of it is found"
                complain(InputError(text), "bad_record")

    def _has_lost(self, cgroup: Cgroup) -> bool:
        return names.id_of(cgroup.path) in (_id(key) for key in self._lost)

    def _is_fenced_by_name(self, cgroup: Cgroup) -> bool:
        """Whether *cgroup*, which cannot be marked, has a lost record by its name, and a limit."""
        if not self._has_lost(cgroup):
            return False
        return memory.high(cgroup.fd) is not None and bool(fs.read("cgroup.procs", dir_fd=cgroup.fd))

    def _make_anew(self, cgroup: Cgroup, text: str) -> None:
        what = f"the mark of {cgroup.path}"
        try:
            one = record.parse(text, what)
            now = records.read_or_none(one.key)
            if now is not None and now.cgroup_ino == cgroup.inode:
                return  # its hook has written it just now
            if now is not None or (one.cgroup, one.cgroup_ino) != (cgroup.path, cgroup.inode):
                raise InputError(f"{what} is another container's")
        except InputError:
            # An agent that is no full root has given it back, and had to leave the mark.
            if self._has_lost(cgroup) or memory.high(cgroup.fd) != record.own_limits(text)[0]:
                self._give_back(cgroup, text)
            return
        if one.key not in self._lost and memory.high(cgroup.fd) == one.user_high:
            mark.remove(cgroup.fd)  # it was let go
            return
        since = chosen.read_or_none(one.id)
        if since is not None:
            one.bound = since.bound
            one.nodes = {node: min(value, since.bound) for node, value in one.nodes.items()}
        try:
            records.write(one)
        except BedeError:
            self._give_back(cgroup, text)
            raise
        self._report(one.id, one.key, "is made anew of what the kernel has kept of it")

    def _give_back(self, cgroup: Cgroup, text: str) -> None:
        """Put its user's own limits back, as far as *text* has them."""
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
