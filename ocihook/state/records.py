# SPDX-License-Identifier: Apache-2.0
"""The record of each bound container: ``/run/bede/containers/KEY.json``, mode 0600 in a 0700 directory."""

import os

from ocihook import fs
from ocihook.errors import AccessError, BedeError, InputError, MalformedError
from ocihook.spec.state import check_id
from ocihook.state.record import Record as Record
from ocihook.state.record import key_of as key_of
from ocihook.state.record import parse

OF_ROOT = "/run/bede"
RUN = OF_ROOT  #: changed by tests, and by state/user.py for rootless users
_LIMIT = 1 << 20


def write(record: Record) -> None:
    """Write *record* atomically. It replaces an older one of the same key. Raises AccessError."""
    try:
        directory = opened(create=True)
        try:
            fs.replace(record.key + ".json", record.dumps() + "\n", dir_fd=directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise denied(error) from None


def read(key: str) -> Record | None:
    """Return the record *key*; None if there is none.

    Raises MalformedError, AccessError, and InputError if *key* is no key of a record.
    """
    try:
        directory = opened()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise denied(error) from None
    try:
        return _read(key, directory)
    finally:
        os.close(directory)


def read_or_none(key: str) -> Record | None:
    """Return the record like :func:`read`; None also for a malformed one, to be replaced or removed."""
    try:
        return read(key)
    except InputError:
        return None


def listing(id: str | None = None) -> tuple[list[Record], list[BedeError]]:
    """Return (all records in the order of their keys, errors of those that cannot be read).

    With *id*, only those of containers with that id are read: two engines may use one id.
    """
    records: list[Record] = []
    errors: list[BedeError] = []
    try:
        directory = opened()
    except FileNotFoundError:
        return records, errors
    except OSError as error:
        raise denied(error) from None
    try:
        for name in sorted(os.listdir(directory)):
            key, _, ending = name.rpartition(".")
            if not key or ending != "json" or (id is not None and key.rpartition("-")[0] != id):
                continue
            try:
                record = _read(key, directory)
            except BedeError as error:
                errors.append(error)
            else:
                records += [record] if record else []
    finally:
        os.close(directory)
    return records, errors


def remove(key: str) -> bool:
    """Remove the record *key*, even a malformed one. Return False if there was none. Raises AccessError."""
    try:
        directory = opened()
        try:
            os.unlink(_file(key), dir_fd=directory)
        finally:
            os.close(directory)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise denied(error) from None
    return True


def opened(create: bool = False, where: str = "containers") -> int:
    """Return a descriptor of Bede's private directory *where*. Raises OSError, AccessError."""
    if create:
        for path in (RUN, f"{RUN}/{where}"):
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                continue
    fd = fs.open_directory(RUN)
    try:
        below = fs.open_directory(where, dir_fd=fd)
    finally:
        os.close(fd)
    found = os.fstat(below)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        os.close(below)
        raise AccessError(f"{RUN}/{where} can be changed by others than root", f"Remove {RUN} and try again")
    return below


def _file(key: str) -> str:
    id, _, crc = key.rpartition("-")
    if len(crc) != 8 or not crc.isascii() or not crc.isalnum():
        raise InputError(f"{key[:40]!a} is not the key of a container")
    return check_id(id) + "-" + crc + ".json"


def denied(error: OSError) -> AccessError:
    """Return the error for a directory of records that cannot be used."""
    return AccessError(
        f"{RUN}/containers cannot be used: {error.strerror}",
        "Run Bede as root of the host, or as a user who has a directory /run/user/UID",
    )


def _read(key: str, directory: int) -> Record | None:
    what = f"the record {RUN}/containers/{key[:220]}.json"
    try:
        text = fs.read(_file(key), dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccessError(f"{what} cannot be read: {error.strerror}", "Remove it") from None
    try:
        record = parse(text[:_LIMIT], what)
        if record.key != key:
            raise InputError(f"{what} is malformed (key)", "Remove it and start the container again")
    except InputError as error:
        raise MalformedError(error.message, error.hint, key) from None
    return record
