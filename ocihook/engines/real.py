# SPDX-License-Identifier: Apache-2.0
"""Scripts for engines whose real runtime is not the one that bede-runtime finds by itself.

bede-runtime starts the runtime that the configuration names, else runc or crun. If an engine's default
runtime is another program, such as a second wrapper, containers under bede would lose that program's work. So
the engine's runtime bede is then a script of ours, one for each engine, whose first line names the program:
``#!/usr/bin/bede-runtime --real=/usr/bin/nvidia-container-runtime``.
"""

from __future__ import annotations

import glob
import os
import re
from typing import NamedTuple

from ocihook import config, fs, host
from ocihook.engines import edits, programs
from ocihook.engines.edits import Edit
from ocihook.errors import BedeError, InputError, RuntimeMissingError

WRAPPER = "bede-runtime"
DIRECTORY = "/etc/bede"  #: the directory of the scripts; tests point this and the names below elsewhere
#: files in which shims keep the name of the runtime that started a container
TASKS = tuple(
    f"/run/{where}/io.containerd.runtime.v2.task/*/*/runtime"
    for where in ("containerd", "docker/containerd/daemon", "k3s/containerd")
)
COMMANDS = "/proc/[0-9]*/cmdline"  #: command lines: that of a conmon contains the runtime
_OPTION = " --real="
_NAME = "# runtime: "
_DEFAULT = "# default: "
_LEFT = "# It is not in use any more, but for containers that run by it."
_LONGEST = 250  # bytes: the kernel reads 256 of a script's first line (BINPRM_BUF_SIZE)
_SHAPE = re.compile(rf"#!/\S*{WRAPPER}{_OPTION}(.+)\n")


class RealRuntime(NamedTuple):
    """A runtime of an engine that bede-runtime starts."""

    name: str  #: its name in the engine's configuration
    program: str  #: its path, or its name on PATH
    #: the engine's default runtime that bede has replaced, if that is not the built-in one
    default: str = ""


def choose(
    engine: str, known: dict[str, str | None], default: str, wanted: str | None, replaced: str = ""
) -> tuple[RealRuntime | None, tuple[str, ...]]:
    """Return (the runtime that a script must name for bede-runtime, messages about it). Raises BedeError.

    The runtime is None if bede-runtime finds it without a script. *known* has the program of each of the
    engine's runtimes by name: "" for the built-in one, None for one that is not just a program. *default* is
    the engine's own choice, *wanted* the user's. *replaced* is the default runtime that bede will replace, if
    that is not the built-in one.
    """
    if wanted is not None and wanted not in known:
        raise InputError(f"{engine} has no runtime {wanted[:80]!a}", f"It has {', '.join(known)}")
    kept = read(engine)
    if kept is not None and wanted is None and kept.name in known:
        wanted = kept.name
    name = wanted or default
    program = known.get(name)
    if program is None:
        what = f"the runtime {name} of {engine} is not a program alone, so bede-runtime cannot start it"
        if wanted:
            raise InputError(what, "Name another runtime")
        return None, (f"Containers under bede do without the default runtime of {engine}: {what}",)
    by_itself = not program or is_found(program)
    if by_itself and name == default and not replaced:
        return None, ()
    chosen = RealRuntime(name, program or "runc", replaced)
    where = script(engine)
    return chosen, (f"Behind bede-runtime {engine} has its runtime {name} ({chosen.program}), by {where}",)


def told(engine: str, known: dict[str, str | None], default: str, handler: str) -> tuple[str, str]:
    """Return (the runtime that a script names for bede-runtime, the default runtime that is lost), or ""
    each.

    The default runtime is lost if bede-runtime could start it and does not. *handler* is the program of the
    engine's runtime bede. Raises RuntimeMissingError if that is a script that does not exist.
    """
    if os.path.basename(handler) != WRAPPER:
        real = read(engine)
        if real is None:
            raise RuntimeMissingError(f"{handler} is not there", f"Run bede configure {engine}")
        return f"{real.name} ({real.program})", ""
    program = known.get(default)
    return "", default if program and not is_found(program) else ""


def script(engine: str) -> str:
    """Return the path of the script of *engine*."""
    return f"{DIRECTORY}/{WRAPPER}-{engine}"


def is_ours(program: object) -> bool:
    """Return whether *program*, of an engine's runtime, is bede-runtime or a script of Bede's."""
    return re.fullmatch(rf"{WRAPPER}(-[a-z]+)?", os.path.basename(str(program))) is not None


def read(engine: str) -> RealRuntime | None:
    """Return the runtime that the script of *engine* names; None without a script.

    Raises AccessError, InputError.
    """
    text = edits.read(script(engine))
    found = _SHAPE.match(text or "")
    if text is None or found is None:
        return None
    said = {start: line for start in (_NAME, _DEFAULT) for line in text.split("\n") if line.startswith(start)}
    return RealRuntime(
        said.get(_NAME, "").removeprefix(_NAME), found[1], said.get(_DEFAULT, "").removeprefix(_DEFAULT)
    )


def text(engine: str, real: RealRuntime, wrapper: str) -> str:
    """Return the script of *engine* that names *real*.

    Raises InputError if its first line cannot hold that.
    """
    first = f"#!{wrapper}{_OPTION}{real.program}"
    names = real.name + real.default
    plain = real.program.isprintable() and real.program == real.program.strip() and names.isprintable()
    if len(os.fsencode(first)) > _LONGEST or not plain:
        raise InputError(
            f"the path of runtime {real.name[:80]!a} of {engine} is too long or has characters that the first"
            " line of a script cannot have",
            "Give it a shorter path of printable characters",
        )
    lines = [first, f"# Made by bede configure {engine}: its runtime bede, with another one behind it."]
    lines.append(f"{_NAME}{real.name}")
    if real.default:
        lines.append(f"{_DEFAULT}{real.default}")
    return "\n".join([*lines, ""])


def edit(engine: str, real: RealRuntime | None, wrapper: str = "") -> tuple[Edit, tuple[str, ...]]:
    """Return (the edit of the script of *engine*, messages about it). Raises AccessError, InputError.

    After the edit the script names *real*; None removes the script, unless running containers use it.
    """
    path = script(engine)
    before = edits.read(path)
    after = text(engine, real, wrapper) if real else None
    old = read(engine)
    notes: tuple[str, ...] = ()
    if old and (real is None or old.program != real.program) and is_used(engine):
        if real is not None:
            raise InputError(
                f"running containers of {engine} need {path} as it is: {engine} stops them by it",
                "Stop these containers first",
            )
        after = "\n".join([(before or "").partition("\n")[0], _LEFT, ""])
        notes = (f"{path} stays while containers run by it; later, bede unconfigure {engine} removes it",)
    return Edit(path, before, after, ours=old is not None or before is None, mode=0o755), notes


def is_used(engine: str) -> bool:
    """Return whether a running container was started by the script of *engine*.

    Such a container needs the script again when it is stopped.
    """
    path = script(engine)
    files = (name for pattern in TASKS for name in glob.iglob(pattern))
    if any(fs.read_or(name, "").strip() == path for name in files):
        return True
    return any(path in fs.read_or(name, "").split("\0") for name in glob.iglob(host.path(COMMANDS)))


def is_found(program: str) -> bool:
    """Return whether bede-runtime finds *program*, a path or a name on PATH, by itself."""
    try:
        settings = config.load()
    except BedeError:
        settings = config.Config()
    names = (settings.runtime,) if settings.runtime else ("runc", "crun")
    own = next((path for path in map(_path, names) if path), None)
    path = _path(program)
    if own is None or path is None:
        return program == names[0]
    return os.path.realpath(own) == os.path.realpath(path)


def _path(program: str) -> str | None:
    return program if program.startswith("/") else programs.find(program)
