# SPDX-License-Identifier: Apache-2.0
"""Programs of this host, run without a shell and without trust in the caller's PATH."""

from __future__ import annotations

import os
import shutil
import subprocess

from ocihook.errors import RuntimeMissingError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECONDS = 20.0  #: seconds to wait: an engine that hangs must not hang Bede


def find(name: str) -> str | None:
    """Return the path of program *name*, or None."""
    return shutil.which(name, path=PATH)


def output(*command: str, seconds: float = SECONDS) -> str:
    """Return the standard output of *command*, whose first word is a name in :data:`PATH`.

    Raises RuntimeMissingError if the program is missing, fails, or takes too long.
    """
    program = find(command[0])
    if program is None:
        raise RuntimeMissingError(f"{command[0]} is not installed", f"Install it, or look for it in {PATH}")
    environment = {**{name: os.environ[name] for name in ("HOME", "XDG_RUNTIME_DIR") if name in os.environ}}
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", **environment},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeMissingError(f"{command[0]} did not answer within {seconds:g} s") from None
    except OSError as error:
        raise RuntimeMissingError(f"{command[0]} cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise RuntimeMissingError(f"{' '.join(command[:3])} failed: {last[:300]}")
    return done.stdout
