# SPDX-License-Identifier: Apache-2.0
"""Clean copies of this checkout, and the Debian package that is built from one."""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from vmlab import cache

ROOT = Path(__file__).resolve().parents[1]
#: the environment of a build, which must not depend on the caller's
BUILD = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


@functools.cache
def _listed() -> tuple[str, ...]:
    line = ["git", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split("\0")
    return tuple(sorted(name for name in names if name and (ROOT / name).exists()))


def tracked() -> tuple[str, ...]:
    """The paths of the files that git tracks, which a clean checkout has."""
    return tuple(name for name in _listed() if not (ROOT / name).is_dir())


def linked() -> tuple[str, ...]:
    """The paths of the links to directories that git tracks, which a clean checkout has, too."""
    return tuple(name for name in _listed() if (ROOT / name).is_dir())


def checkout(target: Path) -> Path:
    """Make a clean checkout at *target*, with this checkout's files."""
    for name in _listed():
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy, follow_symlinks=False)
    return target


def debian(source: Path) -> Path:
    """The Debian package of the clean checkout *source*; it is built unless the cache has it."""
    contents = cache.digest(cache.tree(source))

    def build(out: Path) -> None:
        copy = shutil.copytree(source, out.parent / "bede")
        shutil.copy(built(copy), out)

    (found,) = cache.built(f"deb-{contents}", build).glob("bede_*.deb")
    return found


def built(source: Path) -> Path:
    """Build the Debian package of the checkout *source*. Returns its path, which is beside *source*."""
    line = ["dpkg-buildpackage", "-b", "-us", "-uc"]
    done = subprocess.run(line, cwd=source, env=BUILD, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (found,) = source.parent.glob("bede_*.deb")
    return found


def version() -> str:
    """The version of this checkout."""
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "ocihook/__init__.py").read_text())
    assert found is not None
    return found[1]


def environment(**more: str) -> dict[str, str]:
    """This process's environment, without the variables that make Python find the checkout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return kept | more
