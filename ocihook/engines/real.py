# SPDX-License-Identifier: Apache-2.0
"""The real runtime behind bede-runtime, where an engine's is not the one that bede-runtime finds by itself.

bede-runtime starts what the configuration names, else runc or crun. An engine whose default runtime is
another program, such as a second wrapper, would lose that program's work for a container under bede. There
the engine's runtime bede is a script of ours, a file for each engine, whose first line names the program:
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
DIRECTORY = "/etc/bede"  #: of the scripts; tests point these elsewhere
#: where shims keep the name of the runtime that each of their containers was started by
TASKS = tuple(
    f"/run/{where}/io.containerd.runtime.v2.task/*/*/runtime"
    for where in ("containerd", "docker/containerd/daemon", "k3s/containerd")
)
COMMANDS = "/proc/[0-9]*/cmdline"  #: conmon's has the runtime in it
_OPTION = " --real="
_NAME = "# runtime: "
_DEFAULT = "# default: "
_LEFT = "# It is not in use any more, but for containers that run by it."
_LONGEST = 250  # the kernel reads 256 bytes of a first line
_SHAPE = re.compile(rf"#!/\S*{WRAPPER}{_OPTION}(.+)\n")


class Real(NamedTuple):
    """A runtime of an engine's, behind bede-runtime."""

    name: str  #: what the engine calls it
    program: str  #: its path, or its name on PATH
    #: the engine's default runtime that bede has replaced, where that is not its built-in one
    default: str = ""


def choose(
    engine: str, known: dict[str, str | None], default: str, wanted: str | None, replaced: str = ""
) -> tuple[Real | None, tuple[str, ...]]:
    """(what is to be behind bede-runtime, None for what that finds by itself; what to say of it).

    *known* has the program of each of the engine's runtimes by its name: "" for the built-in one, None for
    one that is no program; *default* is the engine's own choice, *wanted* the user's. *replaced* is the
    default runtime that bede is to replace, if it is not the built-in one. Raises BedeError.
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
            raise InputError(what, "Name another")
        return None, (f"Containers under bede do without the default runtime of {engine}: {what}",)
    by_itself = not program or is_found(program)
    if by_itself and name == default and not replaced:
        return None, ()
    one = Real(name, program or "runc", replaced)
    return one, (f"Behind bede-runtime {engine} has its runtime {name} ({one.program}), by {script(engine)}",)


def told(engine: str, known: dict[str, str | None], default: str, handler: str) -> tuple[str, str]:
    """(what is behind the engine's runtime bede by a script, its default runtime that could be and is not).

    *handler* is the program of that runtime. Raises RuntimeMissingError where that is a script that is gone.
    """
    if os.path.basename(handler) != WRAPPER:
        one = read(engine)
        if one is None:
            raise RuntimeMissingError(f"{handler} is not there", f"Run bede configure {engine}")
        return f"{one.name} ({one.program})", ""
    program = known.get(default)
    return "", default if program and not is_found(program) else ""


def script(engine: str) -> str:
    """Where the script of *engine* is, if it has one."""
    return f"{DIRECTORY}/{WRAPPER}-{engine}"


def is_ours(program: object) -> bool:
    """Whether *program*, of an engine's runtime, is bede-runtime or a script of ours."""
    return re.fullmatch(rf"{WRAPPER}(-[a-z]+)?", os.path.basename(str(program))) is not None


def read(engine: str) -> Real | None:
    """What the script of *engine* says; None where there is none. Raises AccessError, InputError."""
    text = edits.read(script(engine))
    found = _SHAPE.match(text or "")
    if text is None or found is None:
        return None
    said = {start: line for start in (_NAME, _DEFAULT) for line in text.split("\n") if line.startswith(start)}
    return Real(
        said.get(_NAME, "").removeprefix(_NAME), found[1], said.get(_DEFAULT, "").removeprefix(_DEFAULT)
    )


def text(engine: str, real: Real, wrapper: str) -> str:
    """The script of *engine* for *real*. Raises InputError where no first line can name it."""
    first = f"#!{wrapper}{_OPTION}{real.program}"
    names = real.name + real.default
    plain = real.program.isprintable() and real.program == real.program.strip() and names.isprintable()
    if len(os.fsencode(first)) > _LONGEST or not plain:
        raise InputError(
            f"the path of the runtime {real.name[:80]!a} of {engine} cannot stand in a script's first line",
            "Give it a shorter, plain path",
        )
    lines = [first, f"# Made by bede configure {engine}: its runtime bede, with another one behind it."]
    lines.append(f"{_NAME}{real.name}")
    if real.default:
        lines.append(f"{_DEFAULT}{real.default}")
    return "\n".join([*lines, ""])


def edit(engine: str, real: Real | None, wrapper: str = "") -> tuple[Edit, tuple[str, ...]]:
    """(what leaves *engine* a script for *real*, none where that is None; what to say of it).

    One that containers run by stays as long. Raises AccessError, InputError.
    """
    path = script(engine)
    before = edits.read(path)
    after = text(engine, real, wrapper) if real else None
    old = read(engine)
    notes: tuple[str, ...] = ()
    if old and (real is None or old.program != real.program) and is_used(engine):
        if real is not None:
            raise InputError(
                f"containers of {engine} run by {path}, which cannot stop them if it names another runtime",
                "Stop them first",
            )
        after = "\n".join([(before or "").partition("\n")[0], _LEFT, ""])
        notes = (f"{path} stays while containers run by it: bede unconfigure {engine} removes it then",)
    return Edit(path, before, after, ours=old is not None or before is None, mode=0o755), notes


def is_used(engine: str) -> bool:
    """Whether a container that runs was started by the script of *engine*: it is asked to stop it, too."""
    path = script(engine)
    files = (name for pattern in TASKS for name in glob.iglob(pattern))
    if any(fs.read_or(name, "").strip() == path for name in files):
        return True
    return any(path in fs.read_or(name, "").split("\0") for name in glob.iglob(host.path(COMMANDS)))


def is_found(program: str) -> bool:
    """Whether bede-runtime finds *program*, a path or a name on PATH, without being told."""
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
