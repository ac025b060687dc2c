# SPDX-License-Identifier: Apache-2.0
"""Lifts the bounds of all containers for good, before Bede is removed from a host."""

from __future__ import annotations

import os

from ocihook.agent import orphans
from ocihook.backends import undo
from ocihook.cgroup import path
from ocihook.errors import AgentError, BedeError
from ocihook.journal import complain
from ocihook.state import records, unfinished


def release_all() -> int:
    """Put back the own limits of all bound containers, and remove their records. Return their number.

    A fence that nobody will move again strangles its container. Call this only when the agent has ended. If
    one container fails, the others are done all the same, and then BedeError is raised.
    """
    unfinished.remove()
    orphans.restore_lost_records(remove=False)
    found, errors = records.listing()
    for record in found:
        try:
            _release(record)
            undo.forget(record)
        except BedeError as error:
            errors.append(error)
    for wrong in errors[1:]:
        complain(wrong, "not_released")
    if errors:
        raise errors[0]
    return len(found)


def _release(record: records.Record) -> None:
    cgroup = path.reopen(record.cgroup, record.cgroup_ino)
    if cgroup is None:
        return  # the container has ended, and its poststop hook never ran
    with cgroup:
        try:
            undo.give_back(cgroup.fd, record)
        except OSError as error:
            if os.path.isdir(cgroup.directory):
                raise AgentError(
                    f"container {record.id} keeps memory.high of its bound: {error.strerror}",
                    f"Write its own, or max, into {cgroup.directory}/memory.high",
                ) from None
