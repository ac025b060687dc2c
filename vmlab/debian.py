# SPDX-License-Identifier: Apache-2.0
"""Debian 13's programs on any host: unpacked (not installed) into the cache, and started from there."""

import shutil
import subprocess
from pathlib import Path

from vmlab import bootstrap, cache
from vmlab.progress import Progress

LIBRARIES = "usr/lib/x86_64-linux-gnu"
#: parts of the packages that are not kept: only programs and their data are used
UNUSED = ("./dev", "./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./var")


def command(packages: tuple[str, ...], mode: str, out: str) -> list[str]:
    """The mmdebstrap command that writes the unpacked packages and their dependencies to the tar *out*."""
    return [
        *bootstrap.command("extract", mode, "tar"),
        '--aptopt=Apt::Install-Recommends "false"',
        "--include=" + ",".join(packages),
        bootstrap.SUITE,
        out,
    ]


def ensure(name: str, packages: tuple[str, ...], progress: Progress) -> Path:
    """The directory with the unpacked *packages*, made if it is missing; *name* says what they are for."""
    parts = "\n".join((*command(packages, "MODE", "OUT"), *UNUSED)).encode()
    wanted = f"{name}-{cache.digest([parts])}"
    return cache.built(wanted, lambda out: _unpack(name, packages, out, progress))


def program(where: Path, path: str) -> list[str]:
    """The beginning of a command line that runs the program at *path* in *where*, with its own libraries."""
    libraries = where / LIBRARIES
    loader = str(libraries / "ld-linux-x86-64.so.2")
    return [loader, "--library-path", str(libraries), str(where / path)]


def _unpack(name: str, packages: tuple[str, ...], out: Path, progress: Progress) -> None:
    progress.stage(f"getting the {name}, once")
    archive = out.parent / "archive.tar"
    line = command(packages, bootstrap.mode(), str(archive))
    bootstrap.run(line, f"the {name} could not be unpacked")
    exclude = [f"--exclude={name}" for name in UNUSED]
    owner = ["--no-same-owner", "--no-same-permissions"]
    subprocess.run([shutil.which("tar") or "tar", "-xf", archive, "-C", out, *owner, *exclude], check=True)
    archive.unlink()
    progress.stage(f"the {name} is ready")
