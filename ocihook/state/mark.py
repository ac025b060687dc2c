# SPDX-License-Identifier: Apache-2.0
"""The mark: a copy of the record in the kernel, as an extended attribute of the container's cgroup.

It is removed with the cgroup, and replaces a record that is lost or cannot be read. It describes the start of
the bound, as an agent without full root cannot change it later. Source: xattr(7), and the kernel's
security/commoncap.c, cap_inode_setxattr(): "security." needs CAP_SYS_ADMIN in the initial user namespace.
"""

import os

from ocihook.state import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.state.record import Record

#: Only the host's root can write such an attribute, so nobody else can mark a cgroup for root's agent.
#: Unlike an attribute of "trusted.", it can be read without a capability.
_OF_ROOT = "security.bede"
#: A rootless user can write only such an attribute.
_OF_USER = "user.bede"


def _name() -> str:
    return _OF_ROOT if records.RUN == records.OF_ROOT else _OF_USER


def put(cgroup_fd: int, record: "Record") -> bool:
    """Mark the cgroup as held by *record*. Return whether that succeeded."""
    try:
        os.setxattr(cgroup_fd, _name(), record.dumps().encode())
    except OSError:
        return False
    return True


def read(cgroup_fd: int) -> str | None:
    """Return the mark of the cgroup; None if it has none, or another user wrote it."""
    try:
        if os.fstat(cgroup_fd).st_uid != os.geteuid() and _name() == _OF_USER:
            return None
        return os.getxattr(cgroup_fd, _name()).decode("utf-8", "surrogateescape")
    except OSError:
        return None


def remove(cgroup_fd: int) -> None:
    """Remove the mark of a cgroup that is no longer held. Best effort."""
    try:  # noqa: SIM105 - contextlib would be one more import in every container's start
        os.removexattr(cgroup_fd, _name())
    except OSError:
        pass
