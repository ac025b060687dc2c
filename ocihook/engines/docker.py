# SPDX-License-Identifier: Apache-2.0
"""Docker: adds the runtime `bede` to /etc/docker/daemon.json, which has no drop-ins.

Settings that are not Bede's stay; a runtime `bede` that somebody else has added is an error. If the default
runtime is not runc, bede-runtime starts that one (engines/real.py), so that its work is not lost.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from typing import Any

from ocihook import fs
from ocihook.engines import edits, jsontext, programs, real
from ocihook.engines.edits import Edit, Plan
from ocihook.engines.engine import EngineState, version
from ocihook.errors import BedeError, InputError, RuntimeMissingError

PATH = "/etc/docker/daemon.json"  #: tests point it elsewhere
PROGRAM = "dockerd"
FOR_USERS = False  #: whether other users than root have files of their own for it
THEN = "systemctl reload docker"
_NAME = "docker"
_DEFAULT = "default-runtime"
_BUILT_IN = ("runc", "io.containerd.runc.v2")


def state() -> EngineState:
    """Return the state of Docker on this host, by its daemon's file."""
    configured = default = False
    note = "run: bede configure docker"
    behind = lost = ""
    failed = None
    try:
        data = _load(_said(edits.read(PATH)) or "{}")
        path = _path(data)
        configured = path is not None
        default = configured and data.get(_DEFAULT) == "bede"
        if path is not None:
            behind, lost = real.told(_NAME, _known(data), _default(data), path)
    except BedeError as error:
        failed, note = error, error.message
        configured = default = False
    if configured:
        note = "docker run --runtime bede --annotation bede.local=…"
    if default:
        note = "an annotation is enough: bede is the default runtime"
    installed = programs.find(PROGRAM) is not None
    return EngineState(_NAME, version(PROGRAM), installed, configured, default, note, behind, lost, failed)


def configure(set_default: bool, wanted: str | None = None) -> Plan:
    """Return the plan that adds the runtime bede. Raises BedeError.

    bede-runtime will start the *wanted* runtime, or the default one. *set_default* makes bede the default.
    """
    before = edits.read(PATH)
    text = _said(before)
    data = _load(text or "{}")
    default = _default(data)
    is_replaced = (set_default or data.get(_DEFAULT) == "bede") and default != _BUILT_IN[0]
    replaced = default if is_replaced else ""
    behind, notes = real.choose(_NAME, _known(data), default, wanted, replaced)
    if replaced and behind is None:
        raise InputError(
            f'bede-runtime cannot start "{replaced}", the default runtime in {PATH}',
            f"Remove {_DEFAULT} from that file first, or run without --set-default",
        )
    wrapper = edits.program(real.WRAPPER)
    script, left = real.edit(_NAME, behind, wrapper)
    path = script.path if behind else wrapper
    after = _added(text, data, path, set_default) if text else generated(path, set_default)
    if after != before:
        _validate(after)
    # Order the edits so that the file never names a program that does not exist (yet, or any more).
    daemon = Edit(PATH, before, after, ours=not text)
    return Plan([script, daemon] if behind else [daemon, script], THEN, (*notes, *left))


def unconfigure() -> Plan:
    """Return the plan that removes Bede's settings, and what is empty without them. Raises BedeError."""
    before = edits.read(PATH)
    text = _said(before)
    after = _without(text) if text else before
    notes = ("Containers made with the runtime bede do not start without it",) if after != before else ()
    script, left = real.edit(_NAME, None)
    return Plan([Edit(PATH, before, after, ours=after is None), script], THEN, (*notes, *left))


def _said(text: str | None) -> str:
    """Return *text*; "" if it has no settings (Docker takes null for nothing, too)."""
    return "" if text is None or text.strip() in ("", "null") else text


def _without(text: str) -> str | None:
    """Return *text* without Bede's settings; None if it has no others. Raises BedeError."""
    data = _load(text)
    path = _path(data)
    if path is None:
        return text
    if text in (generated(path, False), generated(path, True)):
        return None
    after = jsontext.remove(text, ("runtimes", "bede"))
    if not _runtimes(_load(after)):
        after = jsontext.remove(after, ("runtimes",))
    if data.get(_DEFAULT) == "bede":
        kept = real.read(_NAME)
        if kept is not None and kept.default in _known(data):
            after = jsontext.put(after, (_DEFAULT,), kept.default)
        else:
            after = jsontext.remove(after, (_DEFAULT,))
    _validate(after)
    return after


def generated(wrapper: str, default: bool) -> str:
    """Return the text of a new file."""
    data: dict[str, Any] = {_DEFAULT: "bede"} if default else {}
    data["runtimes"] = {"bede": {"path": wrapper}}
    return json.dumps(data, indent=2) + "\n"


def _added(text: str, data: dict[str, Any], path: str, set_default: bool) -> str:
    own = _path(data)
    if own is None:
        text = jsontext.put(text, ("runtimes", "bede"), {"path": path})
    elif own != path:
        text = jsontext.put(text, ("runtimes", "bede", "path"), path)
    if set_default and data.get(_DEFAULT) != "bede":
        text = jsontext.put(text, (_DEFAULT,), "bede")
    return text


def _default(data: dict[str, Any]) -> str:
    """Return the name of Docker's default runtime, as it is or was without bede. Raises BedeError."""
    default = data.get(_DEFAULT) or _BUILT_IN[0]
    if default == "bede":
        kept = real.read(_NAME)
        default = kept.default if kept and kept.default in _known(data) else _BUILT_IN[0]
    return str(default)


def _known(data: dict[str, Any]) -> dict[str, str | None]:
    """Return the programs of Docker's runtimes, in the form for :func:`real.choose`. Raises InputError."""
    runtimes = _runtimes(data)
    if runtimes.get("bede") is not None and _path(data) is None:
        raise InputError(f'the runtime "bede" in {PATH} is not Bede\'s', "Take it out, or rename it")
    others = {name: _program(runtime) for name, runtime in runtimes.items() if name != "bede"}
    return {**dict.fromkeys(_BUILT_IN, ""), **others}


def _program(runtime: object) -> str | None:
    """Return the program of a *runtime*; None if it is more than a program, or none."""
    if not isinstance(runtime, dict) or runtime.get("runtimeArgs") or runtime.get("runtimeType"):
        return None
    path = runtime.get("path")
    return path if isinstance(path, str) and path and not real.is_ours(path) else None


def _load(text: str) -> dict[str, Any]:
    try:
        return jsontext.load(text)
    except ValueError as error:
        raise InputError(f"Docker cannot read {PATH}: {error}", "Correct the file first") from None


def _runtimes(data: dict[str, Any]) -> dict[str, Any]:
    runtimes = data.get("runtimes")
    if runtimes is None:  # Docker takes null for nothing
        return {}
    if not isinstance(runtimes, dict):
        raise InputError(f'"runtimes" in {PATH} is not a JSON object', "Correct the file first")
    return runtimes


def _path(data: dict[str, Any]) -> str | None:
    """Return the program of the runtime `bede`; None if there is none of Bede's. Raises InputError."""
    bede = _runtimes(data).get("bede")
    path = bede.get("path") if isinstance(bede, dict) else None
    return path if isinstance(path, str) and real.is_ours(path) else None


def _validate(text: str) -> None:
    """Let the daemon check *text*, if it is installed and can do so. Raises InputError."""
    with contextlib.suppress(RuntimeMissingError):
        if "--validate" in programs.output(PROGRAM, "--help"):
            with tempfile.TemporaryDirectory(prefix="bede-") as private:
                path = f"{private}/daemon.json"
                fs.replace(path, text)
                try:
                    programs.output(PROGRAM, "--validate", "--config-file", path)
                except RuntimeMissingError as error:
                    why = error.message.rpartition("failed: ")[2].replace(path, PATH)
                    raise InputError(
                        f"dockerd refuses the new file: {why}", "Correct the file first"
                    ) from None
