# SPDX-License-Identifier: Apache-2.0
"""The state of the container engines of this host."""

from __future__ import annotations

import importlib
import re
from typing import NamedTuple

from ocihook.engines import programs
from ocihook.errors import BedeError

#: each is the module `ocihook.engines.NAME`
NAMES = ("podman", "docker", "containerd", "crio")
_VERSION = re.compile(r"\bv?(\d+\.\d[^\s,]*)")


class Engine(NamedTuple):
    """A container engine, and whether annotations of its containers reach Bede."""

    name: str
    version: str  #: "" if unknown
    installed: bool
    configured: bool  #: whether its own configuration names Bede
    default: bool  #: whether an annotation is enough, without naming a runtime
    note: str  #: one line: how annotations reach Bede, or what to do
    behind: str = ""  #: its runtime that a script of ours puts behind bede-runtime
    lost: str = ""  #: its default runtime, if that could be behind bede-runtime and is not
    error: BedeError | None = None  #: why its configuration cannot be read or used


def class_note(configured: bool, default: bool, otherwise: str) -> str:
    """How pods of a CRI engine reach its runtime class bede; *otherwise* if it has none."""
    if default:
        return "a pod's annotation is enough: bede is the default runtime"
    return "pods name the runtime class bede, and have the annotation" if configured else otherwise


def all_states() -> list[Engine]:
    """Every engine that Bede knows, installed or not."""
    return [importlib.import_module(f"ocihook.engines.{name}").state() for name in NAMES]


def version(program: str) -> str:
    """The output of `PROGRAM --version` without its name; "" if there is none."""
    try:
        found = _VERSION.search(programs.output(program, "--version", seconds=5))
    except BedeError:
        return ""
    return found[1] if found else ""
