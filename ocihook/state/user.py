# SPDX-License-Identifier: Apache-2.0
"""Whose containers these are: root's, or a user's who is root only in a user namespace (rootless Podman).

Such a user has separate records and a separate agent, in ``/run/user/UID`` (made by pam_systemd).
Source: ``/proc/self/uid_map``, user_namespaces(7).
"""

import os

from ocihook import host
from ocihook.state import records

RUNTIME = "/run/user"
_ALL = 4294967295


def uid_outside() -> int | None:
    """Return the uid, outside our user namespace, that is root in it; None for the host's root.

    Also None if all ids are mapped.
    """
    if os.geteuid() != 0:
        return os.geteuid()
    for line in host.read("/proc/self/uid_map").split("\n"):
        words = line.split()
        if len(words) == 3 and words[0] == "0":
            return None if words[1] == "0" or int(words[2]) >= _ALL else int(words[1])
    return None


def choose() -> bool:
    """Use the records of that user from now on, if a directory for them exists. Return whether it does."""
    uid = uid_outside()
    if uid is None:
        return False
    where = f"{RUNTIME}/{uid}"
    try:
        found = os.stat(where, follow_symlinks=False)
    except OSError:
        return False
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        return False
    records.RUN = f"{where}/bede"
    return True
