"""Every kernel file is read and written here, so that tests can record the exact order.

Paths are opened through directory descriptors without following links where the last
part comes from somebody else. Imports only what the interpreter has loaded already.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: A test sets this to a callable(op, path, data) to record reads and writes.
recorder: "Callable[[str, str, str], None] | None" = None

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_LIMIT = 16 << 20


def read(path: str, *, dir_fd: int | None = None) -> str:
    """The text of a kernel or state file, at most 16 MiB. Raises OSError."""
    fd = os.open(path, _READ, dir_fd=dir_fd)
    try:
        parts = []
        size = 0
        while size < _LIMIT:
            part = os.read(fd, 65536)
            if not part:
                break
            parts.append(part)
            size += len(part)
    finally:
        os.close(fd)
    text = b"".join(parts).decode("utf-8", "surrogateescape")
    if recorder:
        recorder("read", path, text)
    return text


def read_or(path: str, default: str, *, dir_fd: int | None = None) -> str:
    """Like :func:`read`, or *default* where the file cannot be read."""
    try:
        return read(path, dir_fd=dir_fd)
    except OSError:
        return default


def write(path: str, text: str, *, dir_fd: int | None = None) -> None:
    """Write *text* to an existing kernel file in one write(2). Raises OSError.

    O_NONBLOCK: newer kernels then skip the synchronous reclaim that a write to
    ``memory.high`` would otherwise do in the writer's own context.
    """
    if recorder:
        recorder("write", path, text)
    flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(path, flags, dir_fd=dir_fd)
    try:
        os.write(fd, text.encode("utf-8", "surrogateescape"))
    finally:
        os.close(fd)


def replace(path: str, text: str, *, dir_fd: int | None = None, mode: int = 0o600) -> None:
    """Write a regular file atomically: a temporary beside it, fsync, rename."""
    if recorder:
        recorder("replace", path, text)
    temporary = f"{path}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(temporary, flags, mode, dir_fd=dir_fd)
    except FileExistsError:
        os.unlink(temporary, dir_fd=dir_fd)
        fd = os.open(temporary, flags, mode, dir_fd=dir_fd)
    try:
        try:
            os.write(fd, text.encode("utf-8", "surrogateescape"))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except OSError:
        os.unlink(temporary, dir_fd=dir_fd)
        raise
