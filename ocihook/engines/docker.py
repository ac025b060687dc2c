"""Docker: the runtime `bede` in /etc/docker/daemon.json, which has no drop-ins.

What is not ours stays: a runtime `bede` that is not Bede's is an error, and so is a default runtime but runc.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from typing import Any

from ocihook import fs
from ocihook.engines import edits, jsontext, programs
from ocihook.engines.edits import Edit, Plan
from ocihook.engines.engine import Engine, version
from ocihook.errors import BedeError, InputError, RuntimeMissingError

PATH = "/etc/docker/daemon.json"  #: tests point it elsewhere
PROGRAM = "dockerd"
WRAPPER = "bede-runtime"
THEN = "systemctl reload docker"
_DEFAULT = "default-runtime"


def state() -> Engine:
    """Docker on this host, by its daemon's file."""
    configured = default = False
    note = "run: bede configure docker"
    try:
        data = _load(edits.read(PATH) or "{}")
        configured = _is_ours(_runtimes(data).get("bede"))
        default = configured and data.get(_DEFAULT) == "bede"
    except BedeError as error:
        note = error.message
    if configured:
        note = "docker run --runtime bede --annotation bede.local=…"
    if default:
        note = "an annotation is enough: bede is the default runtime"
    return Engine("docker", version(PROGRAM), programs.find(PROGRAM) is not None, configured, default, note)


def configure(set_default: bool) -> Plan:
    """Add the runtime, and make it the default one. Raises BedeError."""
    wrapper = edits.program(WRAPPER)
    before = edits.read(PATH)
    if before is None or not before.strip():
        after = generated(wrapper, set_default)
    else:
        after = _added(before, wrapper, set_default)
    if after != before:
        _validate(after)
    return Plan([Edit(PATH, before, after, ours=not (before or "").strip())], THEN)


def unconfigure() -> Plan:
    """Take out what is ours, and what is empty without it. Raises BedeError."""
    before = edits.read(PATH)
    if before is None or not before.strip():
        return Plan([])
    data = _load(before)
    after: str | None = before
    bede = _runtimes(data).get("bede")
    if bede is not None and _is_ours(bede):
        if before in (generated(bede["path"], False), generated(bede["path"], True)):
            after = None
        else:
            after = jsontext.remove(before, ("runtimes", "bede"))
            if not _runtimes(_load(after)):
                after = jsontext.remove(after, ("runtimes",))
            if data.get(_DEFAULT) == "bede":
                after = jsontext.remove(after, (_DEFAULT,))
            _validate(after)
    notes = ("Containers made with the runtime bede do not start without it",) if after != before else ()
    return Plan([Edit(PATH, before, after, ours=after is None)], THEN, notes)


def generated(wrapper: str, default: bool) -> str:
    """The whole file, where there is no other."""
    data: dict[str, Any] = {_DEFAULT: "bede"} if default else {}
    data["runtimes"] = {"bede": {"path": wrapper}}
    return json.dumps(data, indent=2) + "\n"


def _added(text: str, wrapper: str, set_default: bool) -> str:
    data = _load(text)
    bede = _runtimes(data).get("bede")
    if bede is not None and not _is_ours(bede):
        raise InputError(f'the runtime "bede" in {PATH} is not Bede\'s', "Take it out, or rename it")
    if bede is None:
        text = jsontext.put(text, ("runtimes", "bede"), {"path": wrapper})
    elif bede["path"] != wrapper:
        text = jsontext.put(text, ("runtimes", "bede", "path"), wrapper)
    default = data.get(_DEFAULT)
    if set_default and default != "bede":
        if default not in (None, "runc"):
            raise InputError(
                f'the default runtime in {PATH} is "{default}"',
                f"Take {_DEFAULT} out of it first, or leave --set-default away",
            )
        text = jsontext.put(text, (_DEFAULT,), "bede")
    return text


def _load(text: str) -> dict[str, Any]:
    try:
        return jsontext.load(text)
    except ValueError as error:
        raise InputError(f"{PATH} is not what Docker reads: {error}", "Correct it first") from None


def _runtimes(data: dict[str, Any]) -> dict[str, Any]:
    runtimes = data.get("runtimes", {})
    if not isinstance(runtimes, dict):
        raise InputError(f'"runtimes" in {PATH} is not a JSON object', "Correct it first")
    return runtimes


def _is_ours(runtime: object) -> bool:
    return isinstance(runtime, dict) and os.path.basename(str(runtime.get("path"))) == WRAPPER


def _validate(text: str) -> None:
    """Ask the daemon, where it is installed and knows how to be asked, whether it takes *text*."""
    with contextlib.suppress(RuntimeMissingError):
        if "--validate" in programs.output(PROGRAM, "--help"):
            with tempfile.TemporaryDirectory(prefix="bede-") as private:
                path = f"{private}/daemon.json"
                fs.replace(path, text)
                try:
                    programs.output(PROGRAM, "--validate", "--config-file", path)
                except RuntimeMissingError as error:
                    why = error.message.rpartition("failed: ")[2].replace(path, PATH)
                    raise InputError(f"dockerd would not take it: {why}", "Correct the file first") from None
