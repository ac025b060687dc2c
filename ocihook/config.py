# SPDX-License-Identifier: Apache-2.0
"""``/etc/bede/config.yaml``: a flat subset of YAML that needs no YAML library.

::

    runtime: runc              # the real OCI runtime, a name on PATH or an absolute path
    on_unsupported: refuse     # or warn: start the container without a bound
    far_nodes: [1]             # nodes to call far, where the firmware does not tell (two-socket emulation)
    move_rate: 1024            # most MiB a second that are moved for one container there; 0: no limit
    promotion: bede            # who promotes pages of bound containers: balancing, bede, or none
    exempt_cgroups: [/debug.slice]  # processes of containers that are moved into these cgroups stay there

One ``key: value`` a line; a value is a word, a number, a quoted string or a ``[list, of, them]``.
What this reader takes, YAML reads the same way; what is ambiguous in YAML is refused.
"""

import os

from ocihook import fs, host
from ocihook.errors import AccessError, InputError

PATH = "/etc/bede/config.yaml"  #: read where BEDE_CONFIG does not name another file

Scalar = str | int
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+-")
# YAML 1.1 reads these words as booleans or null, so a value must not be one of them without quotes.
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_FASTEST = 1 << 20  # MiB a second: the highest move_rate that is accepted
_NOBODY = 65534  # /proc/sys/kernel/overflowuid: the owner of a file whose real owner is not mapped
_LONGEST_KEY = 1024  # characters: YAML takes no longer key


class Config:
    """The host's settings, each with its default."""

    __slots__ = ("exempt_cgroups", "far_nodes", "move_rate", "on_unsupported", "promotion", "runtime")

    def __init__(
        self,
        runtime: str | None = None,
        on_unsupported: str = "refuse",
        far_nodes: tuple[int, ...] = (),
        exempt_cgroups: tuple[str, ...] = (),
        move_rate: int = 1024,
        promotion: str = "bede",
    ) -> None:
        self.runtime = runtime  #: the real OCI runtime: a name or an absolute path; None: look on PATH
        self.on_unsupported = on_unsupported  #: "refuse", or "warn" and run without a bound
        self.far_nodes = far_nodes  #: NUMA nodes to call far; empty: the kernel's memory tiers decide
        #: cgroup paths from the root: a process that is moved there may stay there
        self.exempt_cgroups = exempt_cgroups
        self.move_rate = move_rate  #: MiB a second, for one container of the migrate backend; 0: no limit
        self.promotion = promotion  #: who promotes pages of bound containers: "bede", "balancing" or "none"


def load(path: str | None = None) -> Config:
    """Return the configuration in *path* (default: BEDE_CONFIG, else :data:`PATH`).

    If the file is missing, return the defaults. Raises InputError with the line's number, AccessError for a
    file that somebody else could have written.
    """
    path = path or used()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return Config()
    except OSError as error:
        raise AccessError(
            f"{path} cannot be read: {error.strerror}", "Make it a regular file of root"
        ) from None
    try:
        found = os.fstat(fd)
        # Only root may write the file, since it names a program that root will run.
        if found.st_uid not in _owners() or found.st_mode & 0o022:
            raise AccessError(
                f"{path} can be changed by others than root", f"chown root {path}; chmod 644 {path}"
            )
        data = fs.read_fd(fd, 1 << 20)
    except OSError as error:
        raise AccessError(
            f"{path} cannot be read: {error.strerror}", "Make it a regular file of root"
        ) from None
    finally:
        os.close(fd)
    try:
        return parse(data.decode("utf-8"), path)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text", "Save the file as UTF-8") from None


def parse(text: str, path: str = PATH) -> Config:
    """Return the configuration in *text*. Raises InputError naming *path* and the line."""
    config = Config()
    exempt = ""  # by which of its two names exempt_cgroups was given
    for number, key, value in _lines(text, path):
        where = f"{path}, line {number}"
        if key == "runtime":
            config.runtime = _runtime(value, where)
        elif key == "on_unsupported":
            if value not in ("refuse", "warn"):
                raise InputError(f"{where}: on_unsupported is neither refuse nor warn", "Write one of them")
            config.on_unsupported = str(value)
        elif key == "far_nodes":
            config.far_nodes = _nodes(value, where)
        elif key == "move_rate":
            config.move_rate = _rate(value, where)
        elif key == "promotion":
            if value not in ("bede", "balancing", "none"):
                raise InputError(
                    f"{where}: promotion is neither bede nor balancing nor none", "Write one of them"
                )
            config.promotion = str(value)
        elif key in ("exempt_cgroups", "let_go"):  # let_go is the older name
            if exempt not in ("", key):
                raise InputError(
                    f"{where}: {key} is given under its other name, too",
                    "Write all of them as exempt_cgroups",
                )
            exempt = key
            config.exempt_cgroups = _cgroups(value, where, key)
        else:
            raise InputError(
                f"{where}: unknown key {key[:40]!a}",
                "Known are runtime, on_unsupported, far_nodes, move_rate, promotion and exempt_cgroups",
            )
    return config


def read_flat(text: str, path: str = PATH) -> "dict[str, Scalar | list[Scalar]]":
    """Return the keys and values in *text*, before any of them is judged. Raises InputError."""
    return {key: value for _, key, value in _lines(text, path)}


def _owners() -> tuple[int, ...]:
    # In a user namespace the host's root appears as "nobody". A program that we run there has no more power
    # than we have, so trusting that owner is safe.
    whole = host.read("/proc/self/uid_map").split() == ["0", "0", "4294967295"]
    return (0, os.geteuid()) if whole else (0, os.geteuid(), _NOBODY)


def used() -> str:
    """Return the name of the file that :func:`load` reads, whether or not the file exists."""
    # Ignore BEDE_CONFIG in a set-id program: there the environment is from somebody with less power.
    trusted = os.getuid() == os.geteuid() and os.getgid() == os.getegid()
    return (trusted and os.environ.get("BEDE_CONFIG")) or PATH


def _lines(text: str, path: str) -> "list[tuple[int, str, Scalar | list[Scalar]]]":
    found: list[tuple[int, str, Scalar | list[Scalar]]] = []
    keys: set[str] = set()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip(" \r")
        where = f"{path}, line {number}"
        if not line.isprintable():
            raise InputError(f"{where}: a character that cannot be printed", "Write plain text, without tabs")
        if not line or line.lstrip(" ").startswith("#") or (line == "---" and not found):
            continue
        key, colon, rest = line.partition(":")
        if not colon or not _is_word(key) or len(key) > _LONGEST_KEY or (rest and not rest.startswith(" ")):
            raise InputError(
                f"{where}: not of the form key: value", "One key: value a line, without indentation"
            )
        if key in keys:
            raise InputError(f"{where}: {key[:40]} is set a second time", "Remove one of the two lines")
        keys.add(key)
        text = rest.strip(" ")
        # YAML reads a missing value, "~" and null as null, and no setting can be null.
        if text.partition(" ")[0].lower() in ("", "~", "null") or text.startswith("#"):
            raise InputError(f"{where}: {key} has no value", "Write it on that line, or take the line out")
        found.append((number, key, _value(text, where)))
    return found


def _value(text: str, where: str) -> "Scalar | list[Scalar]":
    if not text.startswith("["):
        value, rest = _scalar(text, where, " ")
        _end(rest, where)
        return value
    items: list[Scalar] = []
    rest = text[1:].lstrip(" ")
    while not rest.startswith("]"):
        item, rest = _scalar(rest, where, " ,]")
        items.append(item)
        rest = rest.lstrip(" ")
        if rest.startswith(","):
            rest = rest[1:].lstrip(" ")
        elif not rest.startswith("]"):
            raise InputError(f"{where}: a list is not closed", "Write it on one line, as [1, 2]")
    _end(rest[1:], where)
    return items


def _end(rest: str, where: str) -> None:
    if rest.strip(" ") and not rest.startswith(" #") and not rest.lstrip(" ").startswith("#"):
        raise InputError(f"{where}: cannot read {rest.strip()[:40]!a}", "Quote values that hold spaces")
    if rest.startswith("#"):
        raise InputError(f"{where}: a comment needs a space before its #", "Add a space, or quote the value")


def _scalar(text: str, where: str, stops: str) -> "tuple[Scalar, str]":
    if text[:1] in ("'", '"'):
        inside, quote, rest = text[1:].partition(text[0])
        if not quote or "\\" in inside or rest.startswith(text[0]):
            raise InputError(f"{where}: cannot read {text[:40]!a}", "Use plain quotes without escapes")
        return inside, rest
    end = 0
    while end < len(text) and text[end] not in stops:
        end += 1
    word, rest = text[:end], text[end:]
    if word.isascii() and word.isdigit() and len(word) < 19 and (word == "0" or word[0] != "0"):
        return int(word), rest
    if not _is_word(word):
        raise InputError(f"{where}: cannot read {word[:40]!a}", "Put the value in quotes")
    return word, rest


def _is_word(text: str) -> bool:
    # Every version of YAML reads a word that begins with a letter or "/" as a string, except for _WORDS.
    return (
        bool(text)
        and _PLAIN.issuperset(text)
        and (text[0].isalpha() or text[0] == "/")
        and text.lower() not in _WORDS
    )


def _runtime(value: "Scalar | list[Scalar]", where: str) -> str:
    if not isinstance(value, str) or not value or ("/" in value and not value.startswith("/")):
        raise InputError(
            f"{where}: runtime is neither a name nor an absolute path", "Write runc, crun or /usr/bin/runc"
        )
    return value


def _cgroups(value: "Scalar | list[Scalar]", where: str, key: str) -> tuple[str, ...]:
    paths = [path for path in (value if isinstance(value, list) else [value]) if isinstance(path, str)]
    if not isinstance(value, list) or len(paths) != len(value) or any(path[:1] != "/" for path in paths):
        raise InputError(
            f"{where}: {key} is not a list of cgroups", "Write their paths from the root, as [/debug.slice]"
        )
    return tuple(paths)


def _rate(value: "Scalar | list[Scalar]", where: str) -> int:
    if not isinstance(value, int) or value > _FASTEST:
        raise InputError(
            f"{where}: move_rate is not a number of MiB a second", "Write it as 1024, or 0 for no limit"
        )
    return value


def _nodes(value: "Scalar | list[Scalar]", where: str) -> tuple[int, ...]:
    nodes = value if isinstance(value, list) else [value]
    numbers = {node for node in nodes if isinstance(node, int) and node < fs.MOST_NODES}
    if len(numbers) != len(nodes):
        raise InputError(f"{where}: far_nodes is not a list of NUMA node numbers", "Write it as [1, 2]")
    return tuple(sorted(numbers))
