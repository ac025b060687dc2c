"""CRI-O: a runtime handler `bede` in a drop-in of /etc/crio/crio.conf.d.

Of the files in that directory the last one by name that has a setting counts. The handler is the default
runtime's with another program: so its monitor is where this host has it, and its state is the real runtime's.
"""

from __future__ import annotations

import os
from typing import Any

from ocihook.engines import edits, podman, programs, toml
from ocihook.engines.edits import Edit, Plan
from ocihook.engines.engine import Engine, class_note, version
from ocihook.errors import BedeError, InputError

MAIN = "/etc/crio/crio.conf"  #: tests point these elsewhere
DIRECTORY = "/etc/crio/crio.conf.d"
NAME = "99-bede.conf"
PROGRAM = "crio"
WRAPPER = "bede-runtime"
THEN = "systemctl restart crio"
#: What a handler takes from the default one; its own are the program and the type.
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


def state() -> Engine:
    """CRI-O on this host, by its files."""
    configured = default = False
    note = "run: bede configure crio"
    try:
        runtime = _runtime(_files())
        configured = _is_ours(toml.get(runtime, "runtimes", "bede"))
        default = configured and runtime.get("default_runtime") == "bede"
    except BedeError as error:
        note = error.message
    note = class_note(configured, default, note)
    return Engine("crio", version(PROGRAM), programs.find(PROGRAM) is not None, configured, default, note)


def configure(set_default: bool) -> Plan:
    """Add the handler, and make it the default one. Raises BedeError."""
    path = f"{DIRECTORY}/{NAME}"
    before = edits.read(path)
    files = _files()
    ours = files.pop(path, None)
    runtime = _runtime(files)
    if toml.get(runtime, "runtimes", "bede") is not None:
        raise InputError("another file of CRI-O's has a runtime handler bede", f"Take it out of {DIRECTORY}")
    # What was made the default stays it until somebody unconfigures it.
    set_default |= toml.get(ours, "crio", "runtime", "default_runtime") == "bede"
    after = drop_in(edits.program(WRAPPER), runtime, set_default)
    return Plan([Edit(path, before, after, _is_generated(before))], THEN, _notes())


def unconfigure() -> Plan:
    """Remove the drop-in. Raises BedeError."""
    path = f"{DIRECTORY}/{NAME}"
    before = edits.read(path)
    return Plan([Edit(path, before, None, _is_generated(before))], THEN)


def drop_in(wrapper: str, runtime: dict[str, Any], default: bool) -> str:
    """The drop-in for a CRI-O whose `crio.runtime` is otherwise *runtime*."""
    handlers = runtime.get("runtimes") or {}
    like = handlers.get(runtime.get("default_runtime") or "crun") or handlers.get("runc") or {}
    own: dict[str, Any] = {"runtime_path": wrapper, "runtime_type": "oci"}
    if like.get("runtime_type", "oci") in ("", "oci"):
        own |= {name: like[name] for name in COPIED if like.get(name)}
    parts = [f"{_HEAD}"]
    if default:
        parts.append(toml.tables(("crio", "runtime"), {"default_runtime": "bede"}))
    parts.append(toml.tables(("crio", "runtime", "runtimes", "bede"), own))
    return "\n\n".join(parts) + "\n"


_HEAD = (
    "# Made by bede configure crio: a runtime handler that holds the local memory of pods whose annotations\n"
    "# ask for it. All but runtime_path is as your default runtime has it."
)


def _notes() -> tuple[str, ...]:
    if podman.hooks_in(podman.SHARE):
        return ("CRI-O reads the hooks for Podman as well: without the handler, an annotation is enough",)
    return ()


def _files() -> dict[str, dict[str, Any]]:
    """CRI-O's files by path, in the order in which it reads them. Raises BedeError."""
    paths = [MAIN]
    if os.path.isdir(DIRECTORY):
        paths += [f"{DIRECTORY}/{name}" for name in sorted(os.listdir(DIRECTORY))]
    texts = {path: edits.read(path) for path in paths if os.path.isfile(path)}
    return {path: toml.load(text, path) for path, text in texts.items() if text is not None}


def _runtime(files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """`crio.runtime` of all files together."""
    found: dict[str, Any] = {"runtimes": {}}
    for data in files.values():
        one = toml.get(data, "crio", "runtime")
        if isinstance(one, dict):
            handlers = one.get("runtimes")
            found = {**found, **one, "runtimes": {**found["runtimes"], **(handlers or {})}}
    return found


def _is_ours(handler: object) -> bool:
    return isinstance(handler, dict) and os.path.basename(str(handler.get("runtime_path"))) == WRAPPER


def _is_generated(text: str | None) -> bool:
    return text is not None and text.startswith(_HEAD)
