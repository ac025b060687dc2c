# SPDX-License-Identifier: Apache-2.0
"""A copy of the record in the kernel, beside the fence: an extended attribute of the container's cgroup.

It goes with the cgroup, and says whose fence stands there once the record is lost or cannot be read. It is as
the bound began: an agent, which is no full root, cannot change it. Source: xattr(7), and the kernel's
security/commoncap.c, cap_inode_setxattr(): only CAP_SYS_ADMIN of the first user namespace writes "security.".
"""

import os

from ocihook.state import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocihook.state.record import Record

#: Only the host's root writes it, so that nobody can mark a cgroup for root's agent. That reads it without
#: any capability, which "trusted." would take ...
_OF_ROOT = "security.bede"
#: ... and a rootless user has but this one.
_OF_USER = "user.bede"


def _name() -> str:
    return _OF_ROOT if records.RUN == records.OF_ROOT else _OF_USER


def put(cgroup_fd: int, record: "Record") -> bool:
    """Mark the cgroup as held by *record*; whether that can be done here."""
    try:
        os.setxattr(cgroup_fd, _name(), record.dumps().encode())
    except OSError:
        return False
    return True


def read(cgroup_fd: int) -> str | None:
    """What the cgroup is marked by; None where it is not, or by another user."""
    try:
        if os.fstat(cgroup_fd).st_uid != os.geteuid() and _name() == _OF_USER:
            return None
        return os.getxattr(cgroup_fd, _name()).decode("utf-8", "surrogateescape")
    except OSError:
        return None


def remove(cgroup_fd: int) -> None:
    """The cgroup is held no more. Best effort."""
    try:  # noqa: SIM105 - contextlib would be one more import in every container's start
        os.removexattr(cgroup_fd, _name())
    except OSError:
        pass
