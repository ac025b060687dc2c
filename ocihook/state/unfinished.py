# SPDX-License-Identifier: Apache-2.0
"""Removes temporary files that a killed writer of records has left."""

import os

from ocihook import host
from ocihook.state import records


def remove() -> None:
    """Remove the temporary files of writers that have ended. Raises AccessError."""
    try:
        directory = records.opened()
    except FileNotFoundError:
        return
    except OSError as error:
        raise records.denied(error) from None
    try:
        for name in os.listdir(directory):
            if _is_left(name):
                _unlink(name, directory)
    except OSError as error:
        raise records.denied(error) from None
    finally:
        os.close(directory)


def _is_left(name: str) -> bool:
    stem, _, end = name.rpartition(".")
    pid = stem.rpartition(".")[2]
    # The file's name has its writer's pid. While another process has that pid, the file stays.
    return end == "tmp" and not (pid.isdigit() and os.path.exists(host.path(f"/proc/{pid}")))


def _unlink(name: str, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except (FileNotFoundError, IsADirectoryError):
        return  # its writer has just renamed it, or it is a directory, which is not Bede's
