"""How mmdebstrap is run on this host, whoever runs it."""

import os


def mode() -> str:
    """As root directly, else in a user namespace."""
    return "root" if os.geteuid() == 0 else "unshare"


def environment() -> dict[str, str]:
    """Ours, with the directories of system programs on PATH: Debian's users have not got them there."""
    return dict(os.environ, PATH=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
