# SPDX-License-Identifier: Apache-2.0
"""A profile: the latencies and the bandwidths of a machine that exists, and the CPU in front of them."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from ocihook.errors import InputError

DIRECTORY = Path(__file__).parent / "profiles"
SUFFIXES = {"K": 1 << 10, "M": 1 << 20}
LINE = 64  #: bytes of a cache line


@dataclass(frozen=True)
class Memory:
    """What a miss of the last level cache waits for."""

    latency_ns: float
    bandwidth_gbps: float = 0  #: of the whole node; 0: no limit


@dataclass(frozen=True)
class Cache:
    """A set-associative cache."""

    bytes: int
    ways: int
    hit_ns: float = 0


@dataclass(frozen=True)
class Cpu:
    """An out-of-order CPU of today, as far as memory is concerned.

    *instruction_ns*: an instruction that misses no cache; 3 GHz and 1.1 instructions a cycle.
    *window*: instructions that it can look ahead: the reorder buffer of Intel's Skylake.
    *overlap*: misses that it can wait for at once: the line fill buffers of its first level cache.
    *prefetched*: lines that a prefetcher has under way in one stream: its greatest distance, by Intel's
    optimization manual.
    """

    instruction_ns: float = 0.3
    window: int = 224
    overlap: int = 10
    prefetched: int = 20


@dataclass(frozen=True)
class Profile:
    """All that a modelled machine needs to know of a real one.

    The caches are small, as the machine's memory is: a working set of 128 MiB is to a shared cache of 2 MiB
    what one of 8 GiB is to 128 MiB.
    """

    name: str
    about: str
    local: Memory
    far: Memory
    cpu: Cpu = field(default_factory=Cpu)
    private: Cache = Cache(256 << 10, 8)
    shared: Cache = Cache(2 << 20, 16, 12)
    topology: str = "two-tier"


def names() -> list[str]:
    """The profiles that come with the machine."""
    return sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


def find(name: str) -> Profile:
    """The profile called *name*, or that in the file *name* if it ends with ``.yaml``.

    An `InputError` if there is none or it does not say what a profile has to.
    """
    path = Path(name) if name.endswith(".yaml") else DIRECTORY / f"{name}.yaml"
    if not name.endswith(".yaml") and name not in names():
        raise InputError(
            f"no profile is called {name!r}",
            f"The profiles are {', '.join(names())}; or give a file that ends with .yaml",
        )
    try:
        text = path.read_text()
    except OSError as exc:
        raise InputError(f"cannot read the profile {path}: {exc.strerror}") from None
    return parse(path.stem, text)


def parse(name: str, text: str) -> Profile:
    """The profile in the YAML *text*."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise InputError(f"profile {name}: no YAML: {str(exc).splitlines()[0]}") from None
    if not isinstance(data, dict):
        raise InputError(f"profile {name}: it has to be a mapping", "See vmlab/model/profiles")
    made: Profile = _made(Profile, {"name": name, **data}, f"profile {name}")
    return made


_PARTS: dict[str, type] = {"local": Memory, "far": Memory, "cpu": Cpu, "private": Cache, "shared": Cache}


def _made(kind: type, data: dict[str, Any], where: str) -> Any:
    known = {each.name: each for each in fields(kind)}
    for key in data:
        if key not in known:
            raise InputError(f"{where}: {key!r} is not known", "It may have " + ", ".join(known))
    made: dict[str, Any] = {}
    for key, value in data.items():
        if key in _PARTS and kind is Profile:
            if not isinstance(value, dict):
                raise InputError(f"{where}: {key} has to be a mapping", "See vmlab/model/profiles")
            made[key] = _made(_PARTS[key], value, f"{where}: {key}")
        elif known[key].type is str or known[key].type == "str":
            made[key] = str(value)
        else:
            made[key] = _number(value, f"{where}: {key}", whole=known[key].type is int)
    try:
        return kind(**made)
    except TypeError:
        missing = [each for each in ("about", "local", "far", "latency_ns", "bytes", "ways") if each in known]
        lacking = ", ".join(each for each in missing if each not in made)
        raise InputError(f"{where}: {lacking} is missing", "See vmlab/model/profiles") from None


def _number(value: object, where: str, *, whole: bool) -> float:
    if isinstance(value, str) and value[:-1].isdecimal() and value[-1:] in SUFFIXES:
        value = int(value[:-1]) * SUFFIXES[value[-1]]
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1 << 40
    if not good or (whole and not isinstance(value, int)):
        raise InputError(f"{where}: {value!r} is no {'whole ' if whole else ''}number that fits")
    assert isinstance(value, (int, float))
    return value
