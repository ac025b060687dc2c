# SPDX-License-Identifier: Apache-2.0
"""The machine's root: an ext4 image of Debian 13 made by mmdebstrap, with Debian's kernels beside it."""

import os
import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from ocihook.errors import InputError, MachineError
from vmlab import bootstrap, cache
from vmlab.progress import Progress

GUEST = Path(__file__).parent / "guest"
ROOT_SIZE = 6 << 30  #: of the root disk, in bytes; the file is sparse, so unused space costs nothing
LOG_LINES = 20
#: apt's message about a package that does not exist
UNKNOWN = re.compile(r"E: (?:Unable to locate package |Package ')([a-z0-9][a-z0-9+.-]*)")
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "unshare": "util-linux",
}


def packages(more: Collection[str] = ()) -> list[str]:
    """The Debian packages in the machine, with *more* of them."""
    lines = (GUEST / "packages.txt").read_text().splitlines()
    own = [line for line in lines if line and not line.startswith("#")]
    return own + sorted(set(more).difference(own))


def command(mode: str, out: str, more: Collection[str] = ()) -> list[str]:
    """The mmdebstrap command that leaves the image and the kernels in the directory *out*."""
    return [
        *bootstrap.command("apt", mode, "null"),
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "locale", "doc", "info")),
        "--include=" + ",".join(packages(more)),
        f"--customize-hook=upload {GUEST}/setup.sh /bede-setup",
        '--customize-hook=chroot "$1" sh /bede-setup && rm "$1/bede-setup"',
        "--customize-hook=sync-out /bede-out " + out,
        '--customize-hook=rm -r "$1/bede-out"',
        f"--customize-hook=upload {GUEST}/pack.sh /bede-pack",
        '--customize-hook=sh "$1/bede-pack" "$1"',
        f"--customize-hook=download /bede-out/root.img {out}/root.img",
        bootstrap.SUITE,
    ]


def recipe(more: Collection[str] = ()) -> str:
    """The hash of everything that decides what is in the image."""
    text = "\n".join(command("MODE", "OUT", more)).replace(str(GUEST), "GUEST")
    files = [(GUEST / name).read_bytes() for name in ("packages.txt", "setup.sh", "pack.sh")]
    return cache.digest([text.encode(), str(ROOT_SIZE).encode(), *files])


def path(more: Collection[str] = ()) -> Path:
    """Where the image is, or would be."""
    return cache.root() / f"image-{recipe(more)}"


def ensure(progress: Progress, more: Collection[str] = ()) -> Path:
    """The image's directory: ``root.img``, ``busybox`` and ``kernels/NAME/``; built if it is missing.

    For *more* packages there is a separate image beside the usual one.
    """
    return cache.built(path(more).name, lambda out: _build(out, progress, more))


def need(tools: dict[str, str]) -> None:
    """Raise MachineError, which names the packages to install, if a program is missing."""
    search = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = sorted({package for tool, package in tools.items() if not shutil.which(tool, path=search)})
    if missing:
        raise MachineError(
            "the machine in a box needs Debian packages that are not installed",
            "Run: apt-get install " + " ".join(missing),
        )


def _build(out: Path, progress: Progress, more: Collection[str]) -> None:
    need(TOOLS)
    progress.stage("building the machine's image, once (about two minutes)")
    log = out.parent / "build.log"
    status, lines = bootstrap.follow(command(bootstrap.mode(), str(out), more), "image", progress)
    if status != 0:
        for unknown in filter(None, map(UNKNOWN.match, lines)):
            if unknown[1] in more:
                raise InputError(
                    f"Debian {bootstrap.SUITE} has no package {unknown[1]}",
                    "Look it up with apt-cache search",
                )
        kept = cache.root() / "build.log"
        log.write_text("\n".join(lines) + "\n")
        log.replace(kept)
        raise MachineError(
            "the image could not be built; mmdebstrap's last lines: " + " | ".join(lines[-LOG_LINES:]),
            f"All of them are in {kept}",
        )
    image = out / "root.img"
    progress.stage("image: making room")
    with image.open("r+b") as file:
        file.truncate(ROOT_SIZE)
    resize = ["resize2fs", "-f", str(image)]
    subprocess.run(resize, check=True, capture_output=True, env=bootstrap.environment())
    progress.stage("image: done")
