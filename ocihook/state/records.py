"""The record of each bound container: ``/run/bede/containers/KEY.json``, mode 0600 in a 0700 directory."""

import os
from binascii import crc32

from ocihook import fs
from ocihook.errors import AccessError, BedeError, InputError
from ocihook.spec import fastjson
from ocihook.spec.state import check_bundle, check_id, is_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OF_ROOT = "/run/bede"
RUN = OF_ROOT  #: tests, and state/user.py for rootless users, point it elsewhere
VERSION = 1
_LIMIT = 1 << 20
_LARGEST = (1 << 64) - 1  # what the native code and the kernel's files can hold


class Record:
    """One bound container; the fields are those of docs/architecture.md."""

    __slots__ = (
        "backend",
        "bound",
        "bundle",
        "cgroup",
        "cgroup_ino",
        "cpuset",
        "created",
        "id",
        "key",
        "nodes",
        "ns",
        "pid",
        "pid_start",
        "policy",
        "runtime",
        "user_high",
        "user_swap_max",
    )

    def __init__(
        self,
        *,
        id: str,
        bundle: str,
        pid: int,
        pid_start: int,
        ns: dict[str, int],
        cgroup: str,
        cgroup_ino: int,
        policy: dict[str, str],
        bound: int,
        nodes: dict[int, int],
        user_high: int | None,
        created: float,
        user_swap_max: int | None = None,
        backend: str = "tier",
        runtime: str = "",
        cpuset: dict[str, str] | None = None,
    ) -> None:
        self.key = key_of(id, bundle)
        self.id = id
        self.bundle = bundle
        self.pid = pid  #: of the container's first process
        self.pid_start = pid_start  #: clock ticks since boot
        self.ns = ns  #: inodes of its pid, cgroup and mnt namespace
        self.cgroup = cgroup  #: below the cgroup v2 mount
        self.cgroup_ino = cgroup_ino
        self.policy = policy  #: the annotations as given
        self.bound = bound  #: bytes on all local nodes
        self.nodes = nodes  #: further bounds in bytes, by node
        self.user_high = user_high  #: the user's own memory.high in bytes; None is "max"
        self.user_swap_max = user_swap_max  #: and memory.swap.max, likewise
        self.created = created  #: seconds since the epoch
        self.backend = backend
        self.runtime = runtime  #: name of the OCI runtime, "" when unknown
        self.cpuset = cpuset or {}  #: what the migrate backend has to know: see its ``steer``

    def dumps(self) -> str:
        """The record as one JSON object."""
        raw = {name: getattr(self, name) for name in ("key", "id", "bundle", "pid", "pid_start", "ns")}
        raw |= {name: getattr(self, name) for name in ("cgroup", "cgroup_ino", "policy", "bound")}
        raw["nodes"] = {str(node): value for node, value in self.nodes.items()}
        raw |= {
            name: getattr(self, name)
            for name in ("user_high", "user_swap_max", "backend", "runtime", "created", "cpuset")
        }
        return fastjson.dumps({"version": VERSION, **raw})


def key_of(id: str, bundle: str) -> str:
    """``ID-CRC``: the name of a container's record. Raises InputError for an id that is no file name."""
    return f"{check_id(id)}-{crc32(bundle.encode('utf-8', 'surrogateescape')):08x}"


def write(record: Record) -> None:
    """Put *record* on disk atomically, over an older one of the same key. Raises AccessError."""
    try:
        directory = opened(create=True)
        try:
            fs.replace(record.key + ".json", record.dumps() + "\n", dir_fd=directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise denied(error) from None


def read(key: str) -> Record | None:
    """The record *key*; None when there is none. Raises InputError when it is malformed, AccessError."""
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
    """Like :func:`read`, but a malformed record is none: it is about to be replaced or removed."""
    try:
        return read(key)
    except InputError:
        return None


def listing() -> tuple[list[Record], list[BedeError]]:
    """All records in the order of their keys, and what is wrong with those that cannot be read."""
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
            if not name.endswith(".json"):
                continue
            try:
                record = _read(name.removesuffix(".json"), directory)
            except BedeError as error:
                errors.append(error)
            else:
                records += [record] if record else []
    finally:
        os.close(directory)
    return records, errors


def remove(key: str) -> bool:
    """Remove the record *key*, whatever is in it; False when there was none. Raises AccessError."""
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


def opened(create: bool = False) -> int:
    """A descriptor of the directory of records, which belongs to us alone. Raises OSError, AccessError."""
    if create:
        for path in (RUN, RUN + "/containers"):
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                continue
    fd = fs.open_directory(RUN)
    try:
        below = fs.open_directory("containers", dir_fd=fd)
    finally:
        os.close(fd)
    found = os.fstat(below)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        os.close(below)
        raise AccessError(
            f"{RUN}/containers can be changed by others than root", f"Remove {RUN} and try again"
        )
    return below


def _file(key: str) -> str:
    id, _, crc = key.rpartition("-")
    if len(crc) != 8 or not crc.isascii() or not crc.isalnum():
        raise InputError(f"{key[:40]!a} is not the key of a container")
    return check_id(id) + "-" + crc + ".json"


def denied(error: OSError) -> AccessError:
    """What to say where the directory of records cannot be used."""
    return AccessError(
        f"{RUN}/containers cannot be used: {error.strerror}",
        "Bede runs as root of the host, or as a user who has a /run/user/UID of its own",
    )


def _read(key: str, directory: int) -> Record | None:
    what = f"the record {RUN}/containers/{key[:220]}.json"
    try:
        text = fs.read(_file(key), dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccessError(f"{what} cannot be read: {error.strerror}", "Remove it") from None
    raw = fastjson.loads(text[:_LIMIT], what)
    try:
        record = _parse(raw)
        if record.key != key:
            raise ValueError("key")
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, InputError) as error:
        raise InputError(
            f"{what} is malformed ({error})", "Remove it and start the container again"
        ) from None
    return record


def _parse(raw: "Any") -> Record:
    """Raises KeyError, TypeError, ValueError or InputError with the field's name."""
    if not isinstance(raw, dict) or raw["version"] != VERSION:
        raise ValueError("version")
    return Record(
        id=check_id(raw["id"]),
        bundle=check_bundle(raw["bundle"]),
        pid=_number(raw, "pid"),
        pid_start=_number(raw, "pid_start"),
        ns={_text(name, "ns"): _integer(value, "ns") for name, value in raw["ns"].items()},
        cgroup=_cgroup(raw["cgroup"]),
        cgroup_ino=_number(raw, "cgroup_ino"),
        policy={_text(name, "policy"): _text(value, "policy") for name, value in raw["policy"].items()},
        bound=_number(raw, "bound"),
        nodes={_node(node): _integer(value, "nodes") for node, value in raw["nodes"].items()},
        user_high=_limit(raw, "user_high"),
        user_swap_max=_limit(raw, "user_swap_max"),
        backend=_text(raw["backend"], "backend"),
        runtime=_text(raw["runtime"], "runtime"),
        created=float(raw["created"]),
        # Not in records of earlier versions.
        cpuset={_text(name, "cpuset"): _text(text, "cpuset") for name, text in raw.get("cpuset", {}).items()},
    )


def _number(raw: "dict[str, Any]", name: str) -> int:
    return _integer(raw[name], name)


def _limit(raw: "dict[str, Any]", name: str) -> int | None:
    value = raw[name]
    return None if value is None else _integer(value, name)


def _integer(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise ValueError(name)
    return value


def _node(text: str) -> int:
    node = fs.node(text)
    if node is None:
        raise ValueError("nodes")
    return node


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(name)
    return value


def _cgroup(value: object) -> str:
    path = _text(value, "cgroup")
    if not is_path(path):
        raise ValueError("cgroup")
    return path
