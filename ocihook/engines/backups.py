# SPDX-License-Identifier: Apache-2.0
"""Backups of engines' files: beside each file as NAME.bede-YYYYMMDDHHMMSS, only the newest few."""

from __future__ import annotations

import os
import re
import stat
import time

from ocihook import fs

KEPT = 3  #: most backups of one file; older ones are removed


def keep(path: str, text: str, mode: int, owner: tuple[int, int]) -> str:
    """Back up *text*, the old content of *path*. Return the path of the backup. Raises OSError."""
    directory, name = _place(path)
    now = time.strftime("%Y%m%d%H%M%S")
    number = max((number for stamp, number, _ in _found(directory, name) if stamp == now), default=0) + 1
    kept = f"{directory}/{name}.bede-{now}{f'-{number}' if number > 1 else ''}"
    fs.replace(kept, text, mode=mode, owner=owner)
    return kept


def prune(path: str, newest: str) -> None:
    """Remove backups of *path*: keep *newest* and the latest others, :data:`KEPT` in all. Raises OSError."""
    directory, name = _place(path)
    # The clock may have been set back, so *newest*, which has just been made, may not sort last.
    others = [file for *_, file in _found(directory, name) if file != os.path.basename(newest)]
    at = fs.open_directory(os.path.realpath(directory))
    try:
        for file in others[: 1 - KEPT]:
            if stat.S_ISREG(os.stat(file, dir_fd=at, follow_symlinks=False).st_mode):
                os.unlink(file, dir_fd=at)
    finally:
        os.close(at)


def _found(directory: str, name: str) -> list[tuple[str, int, str]]:
    """Return (time, number within that second, file) of each backup, the oldest first."""
    shape = re.compile(rf"{re.escape(name)}\.bede-(\d{{14}})(?:-(\d+))?")
    matches = (shape.fullmatch(file) for file in os.listdir(directory))
    return sorted((found[1], int(found[2] or 1), found[0]) for found in matches if found)


def _place(path: str) -> tuple[str, str]:
    """Return (directory for backups of *path*, the file's name).

    An engine reads every file in some directories: their backups go one level up.
    """
    directory, name = os.path.split(path)
    if directory.endswith(".d"):  # CRI-O reads every file in crio.conf.d
        directory = os.path.dirname(directory)
    return directory, name
