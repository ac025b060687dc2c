# SPDX-License-Identifier: Apache-2.0
"""Directories of the host as ext4 images for the machine."""

import contextlib
import os
import subprocess
from pathlib import Path

from ocihook.errors import MachineError
from vmlab import bootstrap

ROOM = 64 << 20  #: bytes of free space in an image


def write(directory: Path, target: Path) -> None:
    """Write an ext4 image with the present content of *directory* to *target*."""
    size = files = 0
    for where, names, inside in os.walk(directory):
        files += len(names) + len(inside)
        for name in inside:
            with contextlib.suppress(OSError):
                size += (Path(where, name).lstat().st_size + 4095) & ~4095
    args = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-N", str(files + 1024)]
    args += ["-d", str(directory), str(target), f"{(size + size // 20 + files * 512 + ROOM) >> 10}k"]
    done = subprocess.run(args, capture_output=True, text=True, env=bootstrap.environment(), check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:]
        raise MachineError(f"cannot copy {directory} for the machine: {''.join(last)}")
