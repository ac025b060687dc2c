# SPDX-License-Identifier: Apache-2.0
"""Runs mmdebstrap on this host, for root and for other users."""

import os
import subprocess

from ocihook.errors import MachineError
from vmlab.progress import Progress

SUITE = "trixie"
LOG_LINES = 5


def mode() -> str:
    """mmdebstrap's mode: root runs it directly, other users in a user namespace."""
    return "root" if os.geteuid() == 0 else "unshare"


def environment() -> dict[str, str]:
    """This process's environment, with /usr/sbin and /sbin on PATH: Debian's users do not have them there."""
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
    """Run a whole command line. Raises MachineError with the text *failed* if that fails."""
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


def follow(words: list[str], what: str, progress: Progress) -> tuple[int, list[str]]:
    """Run a whole command line. Return its status and its output, of which *progress* shows the stages.

    Stages are the lines that begin with ``I:``, as mmdebstrap writes them and scripts in the new root may.
    *what* is being made; each stage begins with it.
    """
    lines: list[str] = []
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment(),
    ) as job:
        assert job.stdout is not None
        for line in job.stdout:
            lines.append(line.rstrip())
            if line.startswith("I: ") and "hook" not in line:
                progress.stage(f"{what}: {line[3:].strip()}")
    return job.returncode, lines
