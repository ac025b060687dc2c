# SPDX-License-Identifier: Apache-2.0
"""Old texts of engines' files: beside each as NAME.bede-YYYYMMDDHHMMSS, the newest few of them."""

from __future__ import annotations

import os
import re
import stat
import time

from ocihook import fs

KEPT = 3  #: of one file; the oldest go


def keep(path: str, text: str, mode: int, owner: tuple[int, int]) -> str:
    """Keep *text*, which *path* had; where it is kept. Raises OSError."""
    directory, name = _place(path)
    now = time.strftime("%Y%m%d%H%M%S")
    number = max((number for stamp, number, _ in _found(directory, name) if stamp == now), default=0) + 1
    kept = f"{directory}/{name}.bede-{now}{f'-{number}' if number > 1 else ''}"
    fs.replace(kept, text, mode=mode, owner=owner)
    return kept


def prune(path: str, newest: str) -> None:
    """Remove the backups of *path* but the last :data:`KEPT`, of which *newest* is one. Raises OSError."""
    directory, name = _place(path)
    # Whatever the clock says, the newest is the one that has just been made.
    others = [one for *_, one in _found(directory, name) if one != os.path.basename(newest)]
    at = fs.open_directory(os.path.realpath(directory))
    try:
        for one in others[: 1 - KEPT]:
            if stat.S_ISREG(os.stat(one, dir_fd=at, follow_symlinks=False).st_mode):
                os.unlink(one, dir_fd=at)
    finally:
        os.close(at)


def _found(directory: str, name: str) -> list[tuple[str, int, str]]:
    """(time, number within that second, file) of each backup, the oldest first."""
    shape = re.compile(rf"{re.escape(name)}\.bede-(\d{{14}})(?:-(\d+))?")
    matches = (shape.fullmatch(one) for one in os.listdir(directory))
    return sorted((found[1], int(found[2] or 1), found[0]) for found in matches if found)


def _place(path: str) -> tuple[str, str]:
    """The directory of the backups of *path*, where no engine reads all there is; and the file's name."""
    directory, name = os.path.split(path)
    if directory.endswith(".d"):  # CRI-O reads whatever is in crio.conf.d
        directory = os.path.dirname(directory)
    return directory, name
