# SPDX-License-Identifier: Apache-2.0
"""Every kernel file is read and written here, so that tests can record the exact order.

Where the last part of a path is from another program, it is opened relative to a directory's
descriptor, without following links. Imports only what the interpreter has loaded already.
"""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: A test sets this to a callable(op, path, data) to record reads and writes.
recorder: "Callable[[str, str, str], None] | None" = None

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_LIMIT = 16 << 20
MOST_NODES = 1024  #: numbers of nodes are below: MAX_NUMNODES of every kernel that Debian builds


def read_fd(fd: int, limit: int) -> bytes:
    """Return the rest of *fd*. Raises OSError, with EFBIG if there are more than *limit* bytes."""
    parts: list[bytes] = []
    size = 0
    while True:
        part = os.read(fd, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > limit:
            raise OSError(errno.EFBIG, f"more than {limit} bytes")


def read(path: str, *, dir_fd: int | None = None) -> str:
    """Return the text of a kernel or state file, at most 16 MiB. Raises OSError."""
    fd = os.open(path, _READ, dir_fd=dir_fd)
    try:
        text = read_fd(fd, _LIMIT).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)
    if recorder:
        recorder("read", path, text)
    return text


def read_or(path: str, default: str, *, dir_fd: int | None = None) -> str:
    """Return the text like :func:`read`; *default* if the file cannot be read."""
    try:
        return read(path, dir_fd=dir_fd)
    except OSError:
        return default


def number(text: str) -> int | None:
    """Return the number of at most 64 bits in the *text* of a kernel file; None if it is no such number."""
    # int() alone takes signs, underscores and the digits of every script, and refuses very long ones.
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        return None
    value = int(text)
    return value if value < 1 << 64 else None


def node(text: str) -> int | None:
    """Return the number of the NUMA node in *text*; None if it is no such number."""
    value = number(text)
    return value if value is not None and value < MOST_NODES else None


def write(path: str, text: str, *, dir_fd: int | None = None, waits: bool = False) -> None:
    """Write *text* to an existing kernel file in one write(2). Raises OSError.

    The file is opened with O_NONBLOCK: newer kernels then skip the reclaim that a write to ``memory.high``
    would otherwise do before it returns, and the demotion of one to ``memory.node_limit``, unless it *waits*.
    """
    if recorder:
        recorder("write", path, text)
    flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if waits else os.O_NONBLOCK)
    data = text.encode("utf-8", "surrogateescape")
    fd = os.open(path, flags, dir_fd=dir_fd)
    try:
        # A kernel file takes each write as a whole value: the rest of a short write would be another value.
        if os.write(fd, data) != len(data):
            raise OSError(errno.EIO, "short write", path)
    finally:
        os.close(fd)


def open_directory(path: str, *, dir_fd: int | None = None) -> int:
    """Return a descriptor of a directory; the last part of *path* must be no link. Raises OSError."""
    return os.open(path, _DIRECTORY, dir_fd=dir_fd)


def open_below(dir_fd: int, path: str) -> int:
    """Return a descriptor of *path* below *dir_fd*, without following links or ``..``. Raises OSError.

    The path is opened part by part.
    """
    fd = os.dup(dir_fd)
    try:
        for part in path.split("/"):
            if part in ("", "."):
                continue
            if part == "..":
                raise OSError(errno.EXDEV, "path leaves its root", path)
            below = open_directory(part, dir_fd=fd)
            os.close(fd)
            fd = below
    except BaseException:
        os.close(fd)
        raise
    return fd


def replace(
    path: str,
    text: str,
    *,
    dir_fd: int | None = None,
    mode: int = 0o600,
    owner: tuple[int, int] | None = None,
) -> None:
    """Write a regular file atomically: a temporary beside it, fsync, rename. Raises OSError.

    The file gets *mode*, whatever the umask is, and belongs to *owner* (uid, gid) if that is given.
    """
    if recorder:
        recorder("replace", path, text)
    temporary = f"{path}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(temporary, flags, 0o600, dir_fd=dir_fd)
    except FileExistsError:
        # A killed process that had our pid has left it.
        os.unlink(temporary, dir_fd=dir_fd)
        fd = os.open(temporary, flags, 0o600, dir_fd=dir_fd)
    try:
        try:
            data = memoryview(text.encode("utf-8", "surrogateescape"))
            while data:
                data = data[os.write(fd, data) :]
            if owner is not None:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        try:  # noqa: SIM105 - contextlib would be one more import in every container's start
            os.unlink(temporary, dir_fd=dir_fd)
        except OSError:
            pass
        raise
