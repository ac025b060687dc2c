# SPDX-License-Identifier: Apache-2.0
"""Edits of configuration files: planned as texts, shown as a diff, written atomically with a backup."""

from __future__ import annotations

import difflib
import os
import stat
import sys
from typing import NamedTuple

from ocihook import fs
from ocihook.engines import backups
from ocihook.errors import AccessError, InputError, RuntimeMissingError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Edit(NamedTuple):
    """One file's text before and after; None if there is no file."""

    path: str
    before: str | None
    after: str | None
    ours: bool = False  #: whether the whole file is Bede's, so that it needs no backup
    mode: int = 0o644  #: of a new file


class Plan(NamedTuple):
    """What a command would do to an engine."""

    edits: list[Edit]
    then: str = ""  #: the command that makes the engine read its files again
    notes: tuple[str, ...] = ()

    def changes(self) -> list[Edit]:
        """Return those edits that change anything."""
        return [edit for edit in self.edits if edit.before != edit.after]


def program(name: str) -> str:
    """Return the absolute path of Bede's program *name*, which is beside the running `bede`.

    Raises RuntimeMissingError if it is missing, AccessError if a user other than root could replace it.
    """
    own = os.path.realpath(sys.argv[0])
    for directory in (os.path.dirname(own), f"{ROOT}/bin"):
        path = f"{directory}/{name}"
        if os.path.isfile(path):
            # An engine that runs as root will execute it, so only root may be able to replace it.
            if os.geteuid() == 0 and (where := _open_to_others(os.path.realpath(path))):
                raise AccessError(
                    f"users other than root can change {where}, which root would run",
                    "Install Bede where only root can write, and run that installation",
                )
            return path
    raise RuntimeMissingError(
        f"the program {name} is missing beside {own}", "Install Bede again, with all of its programs"
    )


def _open_to_others(path: str) -> str | None:
    """Return the part of the absolute *path* that users other than root can replace; None if none."""
    while True:
        found = os.stat(path)
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_uid != 0 or (found.st_mode & 0o022 and not sticky):
            return path
        if path == "/":
            return None
        path = os.path.dirname(path)


def read(path: str) -> str | None:
    """Return the text of a configuration file; None if there is no file. Raises AccessError, InputError."""
    try:
        real = os.path.realpath(path)
        if os.path.exists(real) and not stat.S_ISREG(os.stat(real).st_mode):
            raise InputError(f"{path} is not a regular file", "Put a regular file in its place, or remove it")
        return fs.read(real)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccessError(f"{path} cannot be read: {error.strerror}", "Run it as root") from None


def diff(edits: list[Edit]) -> str:
    """Return the edits as a unified diff."""
    out: list[str] = []
    for edit in edits:
        before = (edit.before or "").splitlines(keepends=True)
        after = (edit.after or "").splitlines(keepends=True)
        names = ["/dev/null" if text is None else edit.path for text in (edit.before, edit.after)]
        for line in difflib.unified_diff(before, after, names[0], names[1]):
            out.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
        if not before and not after:  # difflib shows nothing for an empty file
            out += [f"--- {names[0]}\n", f"+++ {names[1]}\n"]
    return "".join(out)


def apply(edits: list[Edit]) -> list[str]:
    """Write the edits in their order. Return a line about each. Raises AccessError."""
    for edit in edits:
        if os.path.islink(edit.path):
            target = os.path.realpath(edit.path)
            raise AccessError(
                f"{edit.path} is a symbolic link to {target}",
                "Edit that file as --dry-run shows, or put a file in the link's place",
            )
    return [_write(edit) for edit in edits]


def _write(edit: Edit) -> str:
    directory, name = os.path.split(edit.path)
    said = kept = ""
    try:
        _make(directory)
        at = fs.open_directory(os.path.realpath(directory))
        try:
            mode, owner = edit.mode, None
            if _text(name, at) != edit.before:
                raise AccessError(f"{edit.path} was changed meanwhile", "Run it again")
            if edit.before is not None:
                found = os.stat(name, dir_fd=at, follow_symlinks=False)
                mode, owner = stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)
                if not edit.ours:
                    kept = backups.keep(edit.path, edit.before, mode, owner)
                    said = f" (backup: {kept}; the last {backups.KEPT} stay)"
            if edit.after is None:
                os.unlink(name, dir_fd=at)
            else:
                fs.replace(name, edit.after, dir_fd=at, mode=mode, owner=owner)
            if kept:
                backups.prune(edit.path, kept)
        finally:
            os.close(at)
    except OSError as error:
        raise AccessError(
            f"{edit.path} cannot be written: {error.strerror}",
            "Run it as root, on a file system that can be written",
        ) from None
    return f"{'removed' if edit.after is None else 'wrote'} {edit.path}{said}"


def _text(name: str, at: int) -> str | None:
    try:
        return fs.read(name, dir_fd=at)
    except FileNotFoundError:
        return None


def _make(directory: str) -> None:
    """Make *directory* and its parents. Users other than root can read them, whatever the umask is."""
    if not os.path.isdir(directory):
        _make(os.path.dirname(directory))
        os.mkdir(directory)
        os.chmod(directory, 0o755)
