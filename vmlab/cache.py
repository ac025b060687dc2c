# SPDX-License-Identifier: Apache-2.0
"""The user's cache directory: locks, throw-away directories, and directories that appear whole or never."""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

SCRATCH = "tmp-"
KEEP_SECONDS = 14 * 24 * 3600  #: an image that was not used for so long is removed when a new one comes


def root() -> Path:
    """``$XDG_CACHE_HOME/bede``, made if missing."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    path = (Path(base) if base.startswith("/") else Path.home() / ".cache") / "bede"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def digest(parts: Iterable[bytes]) -> str:
    """A short name for a recipe. Each part is hashed with its length, so that different lists differ."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(b"%d:" % len(part))
        sha.update(part)
    return sha.hexdigest()[:16]


def tree(path: Path) -> Iterator[bytes]:
    """The names, modes and contents of the files below a directory, sorted, for `digest`."""
    for file in sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        yield f"{file.relative_to(path)} {file.stat().st_mode & 0o111:o}".encode()
        yield file.read_bytes()


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lock *name* among all of this user's processes."""
    with (root() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(path: Path) -> None:
    # --one-file-system: do not remove what a killed builder may have left mounted there.
    subprocess.run(["rm", "-rf", "--one-file-system", "--", str(path)], check=False)


def _try_hold(path: Path) -> int | None:
    """A locked descriptor of a directory, or None if it is gone or somebody else holds it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def sweep() -> None:
    """Remove throw-away directories whose process has died."""
    for path in root().glob(SCRATCH + "*"):
        fd = _try_hold(path)
        if fd is not None:
            _remove(path)
            os.close(fd)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory that is removed at the end of the block, or after a kill by the next `sweep`."""
    sweep()
    while True:
        path = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=root()))
        fd = _try_hold(path)
        if fd is None:
            continue
        if path.exists():  # else a sweep has removed it before it was locked
            break
        os.close(fd)
    try:
        yield path
    finally:
        _remove(path)
        os.close(fd)


def built(name: str, build: Callable[[Path], None]) -> Path:
    """The directory *name*, made by *build* if it is missing; concurrent callers build it once."""
    path = root() / name
    if not path.is_dir():
        with lock(name.rpartition("-")[0] or name):
            if not path.is_dir():
                with scratch() as work:
                    half = work / "new"
                    half.mkdir()
                    build(half)
                    half.rename(path)
                _retire(name)
    os.utime(path)
    return path


def _retire(name: str) -> None:
    """Remove predecessors of *name* that were not used for KEEP_SECONDS."""
    kind = name.rpartition("-")[0]
    for path in root().glob(f"{kind}-*"):
        if path.is_dir() and path.name != name and path.stat().st_mtime < time.time() - KEEP_SECONDS:
            _remove(path)
