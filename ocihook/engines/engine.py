# SPDX-License-Identifier: Apache-2.0
"""What a container engine is for Bede: a module in this folder that offers what :class:`Engine` states."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ocihook.engines import programs
from ocihook.errors import BedeError

if TYPE_CHECKING:
    from ocihook.engines.edits import Plan

NAMES = ("podman", "docker", "containerd", "crio")  #: all engines, in the order of `bede doctor`
_VERSION = re.compile(r"\bv?(\d+\.\d[^\s,]*)")


class EngineState(NamedTuple):
    """What `bede doctor` shows of an engine: above all whether annotations of its containers reach Bede."""

    name: str
    version: str  #: "" if unknown
    installed: bool
    configured: bool  #: whether its own configuration names Bede
    default: bool  #: whether an annotation is enough, without naming a runtime
    note: str  #: one line: how annotations reach Bede, or what to do
    behind: str = ""  #: the runtime that bede-runtime starts, if a script of Bede's names it
    lost: str = ""  #: the engine's default runtime, if bede-runtime could start it and does not
    error: BedeError | None = None  #: why its configuration cannot be read or used
    lacks: str = ""  #: what does not work until it is configured again; "" if all does


class Engine(Protocol):
    """The interface of each engine's module; :func:`named` makes mypy compare the modules with it."""

    PROGRAM: str  #: the program whose presence on this host means that the engine is installed
    FOR_USERS: bool  #: whether users other than root have files of their own for the engine

    def state(self) -> EngineState:
        """Read the engine's files. Return its state, with an error in a file as ``EngineState.error``."""

    def configure(self, set_default: bool, wanted: str | None = None) -> Plan:
        """Return the plan of the edits after which annotations reach Bede; change nothing.

        *set_default* makes bede the engine's default runtime. *wanted* names the runtime that bede-runtime
        will start; None means the engine's default one. Raises BedeError.
        """

    def unconfigure(self) -> Plan:
        """Return the plan of the edits that undo :meth:`configure`. Raises BedeError."""


def named(name: str) -> Engine:
    """Import the module of the engine called *name*, one of :data:`NAMES`. Return the module."""
    if name == "podman":
        from ocihook.engines import podman

        return podman
    if name == "docker":
        from ocihook.engines import docker

        return docker
    if name == "containerd":
        from ocihook.engines import containerd

        return containerd
    if name == "crio":
        from ocihook.engines import crio

        return crio
    raise LookupError(name)


def class_note(configured: bool, default: bool, otherwise: str) -> str:
    """Return how a pod of a CRI engine gets the runtime class bede; *otherwise* if it has none."""
    if default:
        return "a pod's annotation is enough: bede is the default runtime"
    return "pods name the runtime class bede, and have the annotation" if configured else otherwise


def all_states() -> list[EngineState]:
    """Return the state of every engine that Bede knows, installed or not."""
    return [named(name).state() for name in NAMES]


def version(program: str) -> str:
    """Return the version in the output of `PROGRAM --version`; "" if there is none."""
    try:
        found = _VERSION.search(programs.output(program, "--version", seconds=5))
    except BedeError:
        return ""
    return found[1] if found else ""
