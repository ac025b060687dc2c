# SPDX-License-Identifier: Apache-2.0
"""Whose containers these are: root's, or a user's who is root of a user namespace only (rootless Podman).

Such a user has records and an agent of its own, in its runtime directory (pam_systemd's ``/run/user/UID``).
Source: ``/proc/self/uid_map``, user_namespaces(7).
"""

import os

from ocihook import fs, host
from ocihook.state import records

RUNTIME = "/run/user"
_ALL = 4294967295


def uid_outside() -> int | None:
    """The user who is root in here; None where that is the host's root, or a whole system's."""
    if os.geteuid() != 0:
        return os.geteuid()
    for line in fs.read_or(host.path("/proc/self/uid_map"), "").split("\n"):
        words = line.split()
        if len(words) == 3 and words[0] == "0":
            return None if words[1] == "0" or int(words[2]) >= _ALL else int(words[1])
    return None


def choose() -> bool:
    """Use the records of that user from now on, where there is a place for them; whether there is."""
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
