# SPDX-License-Identifier: Apache-2.0
"""CRI-O: a runtime handler `bede` in a drop-in of /etc/crio/crio.conf.d.

If several files in that directory have a setting, the last one by name counts. The handler is a copy of the
default runtime's with another program, which starts that runtime's program (engines/real.py): so it uses the
monitor of this host and the state of the real runtime.
"""

from __future__ import annotations

import os
from typing import Any

from ocihook.engines import edits, podman, programs, real, toml
from ocihook.engines.edits import Edit, Plan
from ocihook.engines.engine import EngineState, class_note, version
from ocihook.errors import BedeError, InputError

MAIN = "/etc/crio/crio.conf"  #: tests point these elsewhere
DIRECTORY = "/etc/crio/crio.conf.d"
NAME = "99-bede.conf"
PROGRAM = "crio"
FOR_USERS = False  #: whether other users than root have files of their own for it
_NAME = "crio"
_BUILT_IN = "crun"
THEN = "systemctl restart crio"
#: settings that Bede's handler copies from the default handler; its program and type are its own
COPIED = (
    "runtime_root",
    "monitor_path",
    "monitor_cgroup",
    "monitor_exec_cgroup",
    "monitor_env",
    "privileged_without_host_devices",
    "allowed_annotations",
    "container_min_memory",
    "no_sync_log",
    "default_annotations",
    "stream_websockets",
)


def state() -> EngineState:
    """Return the state of CRI-O on this host, by its files."""
    configured = default = False
    note = "run: bede configure crio"
    behind = lost = ""
    failed = None
    try:
        files = _files()
        runtime = _runtime(files)
        bede = toml.get(runtime, "runtimes", "bede")
        configured = real.is_ours(toml.get(bede, "runtime_path"))
        default = configured and runtime.get("default_runtime") == "bede"
        if configured:
            files.pop(f"{DIRECTORY}/{NAME}", None)
            others = _runtime(files)
            behind, lost = real.told(_NAME, _known(others), _default(others), bede["runtime_path"])
    except BedeError as error:
        failed, note = error, error.message
        configured = default = False
    note = class_note(configured, default, note)
    installed = programs.find(PROGRAM) is not None
    return EngineState(_NAME, version(PROGRAM), installed, configured, default, note, behind, lost, failed)


def configure(set_default: bool, wanted: str | None = None) -> Plan:
    """Return the plan that adds the runtime handler bede. Raises BedeError.

    bede-runtime will start the *wanted* runtime, or the default one. *set_default* makes bede the default.
    """
    path = f"{DIRECTORY}/{NAME}"
    before = edits.read(path)
    files = _files()
    ours = files.pop(path, None)
    runtime = _runtime(files)
    if toml.get(runtime, "runtimes", "bede") is not None:
        raise InputError("another file of CRI-O's has a runtime handler bede", f"Take it out of {DIRECTORY}")
    # If bede is the default, it stays so until `bede unconfigure`.
    set_default |= toml.get(ours, "crio", "runtime", "default_runtime") == "bede"
    behind, told = real.choose(_NAME, _known(runtime), _default(runtime), wanted)
    wrapper = edits.program(real.WRAPPER)
    script, left = real.edit(_NAME, behind, wrapper)
    program = script.path if behind else wrapper
    after = drop_in(program, runtime, behind.name if behind else _default(runtime), set_default)
    handler = Edit(path, before, after, _is_generated(before))
    return Plan([script, handler] if behind else [handler, script], THEN, (*told, *left, *_notes()))


def unconfigure() -> Plan:
    """Return the plan that removes the drop-in. Raises BedeError."""
    path = f"{DIRECTORY}/{NAME}"
    before = edits.read(path)
    script, left = real.edit(_NAME, None)
    return Plan([Edit(path, before, None, _is_generated(before)), script], THEN, left)


def drop_in(program: str, runtime: dict[str, Any], name: str, default: bool) -> str:
    """Return the text of the drop-in, for a CRI-O whose other files have *runtime* as `crio.runtime`.

    *program* starts the runtime called *name*. *default* makes bede the default runtime.
    """
    handlers = runtime.get("runtimes") or {}
    like = handlers.get(name) or handlers.get("runc") or {}
    own: dict[str, Any] = {"runtime_path": program, "runtime_type": "oci"}
    if like.get("runtime_type", "oci") in ("", "oci"):
        own |= {name: like[name] for name in COPIED if like.get(name)}
    parts = [f"{_HEAD}"]
    if default:
        parts.append(toml.tables(("crio", "runtime"), {"default_runtime": "bede"}))
    parts.append(toml.tables(("crio", "runtime", "runtimes", "bede"), own))
    return "\n\n".join(parts) + "\n"


_HEAD = (
    "# Made by bede configure crio: a runtime handler that holds the local memory of pods whose annotations\n"
    "# ask for it. All but runtime_path is as the runtime behind it has it."
)


def _notes() -> tuple[str, ...]:
    if podman.hooks_in(podman.SHARE):
        return ("CRI-O reads the hooks for Podman as well: without the handler, an annotation is enough",)
    return ()


def _files() -> dict[str, dict[str, Any]]:
    """Return CRI-O's files by path, in the order in which it reads them. Raises BedeError."""
    paths = [MAIN]
    if os.path.isdir(DIRECTORY):
        paths += [f"{DIRECTORY}/{name}" for name in sorted(os.listdir(DIRECTORY))]
    texts = {path: edits.read(path) for path in paths if os.path.isfile(path)}
    return {path: toml.load(text, path) for path, text in texts.items() if text is not None}


def _runtime(files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what all files together have as `crio.runtime`."""
    found: dict[str, Any] = {"runtimes": {}}
    for data in files.values():
        section = toml.get(data, "crio", "runtime")
        if isinstance(section, dict):
            handlers = section.get("runtimes")
            found = {**found, **section, "runtimes": {**found["runtimes"], **(handlers or {})}}
    return found


def _default(runtime: dict[str, Any]) -> str:
    default = runtime.get("default_runtime") or _BUILT_IN
    return _BUILT_IN if default == "bede" else str(default)


def _known(runtime: dict[str, Any]) -> dict[str, str | None]:
    """Return the programs of CRI-O's handlers, in the form for :func:`real.choose`."""
    handlers = runtime["runtimes"]
    return {_BUILT_IN: "", **{name: _program(name, handler) for name, handler in handlers.items()}}


def _program(name: str, handler: object) -> str | None:
    if toml.get(handler, "runtime_type") not in (None, "", "oci"):
        return None
    # If a handler has no path, CRI-O looks for its name on PATH.
    program = str(toml.get(handler, "runtime_path") or name)
    return None if real.is_ours(program) else program


def _is_generated(text: str | None) -> bool:
    return text is not None and text.startswith(_HEAD)
