# SPDX-License-Identifier: Apache-2.0
"""Debian's packaged kernel sources, in the version that Debian has when they are fetched, in the cache."""

import subprocess
from pathlib import Path

from ocihook.errors import MachineError
from vmlab import bootstrap, cache
from vmlab.progress import Progress

#: A script that runs in the new root and leaves the source and its version in /bede-out.
FETCH = """
set -eu
cd /etc/apt
sed -n 's/\\(trixie\\) main.*/\\1-backports main/p' sources.list | sed -n 1p >sources.list.d/backports.list
apt-get -qq update
mkdir /bede-out
cd /bede-out
apt-get -qq -o APT::Sandbox::User=root download linux-source-SERIES
dpkg-deb -f linux-source-SERIES_*.deb Version >version
dpkg-deb --fsys-tarfile linux-source-SERIES_*.deb |
    tar -xO ./usr/src/linux-source-SERIES.tar.xz >source.tar.xz
rm linux-source-SERIES_*.deb
"""


def command(mode: str, series: str, out: str) -> list[str]:
    """The mmdebstrap command that leaves ``source.tar.xz`` and ``version`` in the directory *out*."""
    return [
        *bootstrap.command("apt", mode, "null"),
        "--dpkgopt=force-unsafe-io",
        f"--customize-hook=chroot \"$1\" sh -c '{_quoted(FETCH.replace('SERIES', series))}'",
        f"--customize-hook=sync-out /bede-out {out}",
        bootstrap.SUITE,
    ]


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''")


def ensure(series: str, progress: Progress) -> Path:
    """The directory with the source of *series* (such as ``6.12``), fetched if it is missing."""
    recipe = "\n".join(command("MODE", series, "OUT")).encode()
    return cache.built(f"source-{series}-{cache.digest([recipe])}", lambda out: _fetch(out, series, progress))


def version(source: Path) -> str:
    """Debian's version of the source, such as ``6.12.48-1``."""
    return (source / "version").read_text().strip()


def unpack(source: Path, tree: Path) -> None:
    """Unpack the source into *tree*, which must not exist."""
    tree.mkdir()
    command = ["tar", "-xf", str(source / "source.tar.xz"), "-C", str(tree), "--strip-components=1"]
    subprocess.run([*command, "--no-same-owner"], check=True)


def _fetch(out: Path, series: str, progress: Progress) -> None:
    progress.stage(f"getting Debian's linux-source-{series}, once")
    bootstrap.run(command(bootstrap.mode(), series, str(out)), f"linux-source-{series} could not be fetched")
    if not (out / "version").is_file():
        raise MachineError(f"linux-source-{series} could not be fetched: mmdebstrap left no version")
