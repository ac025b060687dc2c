# SPDX-License-Identifier: Apache-2.0
"""Compiles the checkout's modules on the host into bytecode for the machine's Python.

An emulated machine takes seconds to compile what a command imports, and a unit that may not write beside
its modules compiles them each time it starts.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ocihook.errors import MachineError
from vmlab import cache, debian
from vmlab.progress import Progress

PACKAGES = ("python3-minimal",)
#: A program that compiles the files of a JSON object on standard input, {name in the machine: file here}.
#: They go below the directory that is its argument, by their names in the machine, except what is no Python.
COMPILE = """
import importlib.util, json, os, py_compile, sys
for name, path in json.load(sys.stdin).items():
    target = importlib.util.cache_from_source(name)
    try:
        py_compile.compile(path, os.path.join(sys.argv[1], target), "/" + name, doraise=True,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except py_compile.PyCompileError:
        pass
"""


def of(files: Mapping[str, Path], progress: Progress) -> dict[str, Path]:
    """The bytecode of the modules among *files*, both as {name in the machine: file here}."""
    modules = {name: path for name, path in files.items() if name.endswith(".py")}
    where = debian.ensure("python", PACKAGES, progress)
    parts = [part for name, path in sorted(modules.items()) for part in (name.encode(), path.read_bytes())]
    digest = cache.digest([COMPILE.encode(), where.name.encode(), *parts])
    made = cache.built(f"bytecode-{digest}", lambda out: _compile(modules, where, out))
    return {str(path.relative_to(made)): path for path in made.rglob("*.pyc")}


def _python(where: Path) -> list[str]:
    (found,) = where.glob("usr/bin/python3.*[0-9]")
    return ["env", f"PYTHONHOME={where / 'usr'}", *debian.program(where, str(found.relative_to(where)))]


def _compile(modules: Mapping[str, Path], where: Path, out: Path) -> None:
    done = subprocess.run(
        [*_python(where), "-S", "-c", COMPILE, str(out)],
        input=json.dumps({name: str(path) for name, path in modules.items()}),
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:]
        raise MachineError(f"the checkout could not be compiled for the machine: {''.join(last)}")
