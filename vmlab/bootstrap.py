# SPDX-License-Identifier: Apache-2.0
"""How mmdebstrap is run on this host, whoever runs it."""

import os
import subprocess

from ocihook.errors import MachineError

SUITE = "trixie"
LOG_LINES = 5


def mode() -> str:
    """As root directly, else in a user namespace."""
    return "root" if os.geteuid() == 0 else "unshare"


def environment() -> dict[str, str]:
    """Ours, with the directories of system programs on PATH: Debian's users have not got them there."""
    return dict(os.environ, PATH=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def command(variant: str, mode: str, form: str) -> list[str]:
    """The beginning of every mmdebstrap command line; `SUITE` comes after the rest of the options."""
    return [
        "mmdebstrap",
        f"--variant={variant}",
        f"--mode={mode}",
        f"--format={form}",
        "--components=main",
        '--aptopt=Acquire::Languages "none"',
    ]


def run(words: list[str], failed: str) -> None:
    """Run a whole command line; a `MachineError` that says what *failed* if it fails."""
    made = subprocess.run(
        ["setpriv", "--pdeathsig", "TERM", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment(),
        check=False,
    )
    if made.returncode != 0:
        last = " | ".join(made.stderr.splitlines()[-LOG_LINES:])
        raise MachineError(f"{failed}; mmdebstrap's last lines: {last}")
