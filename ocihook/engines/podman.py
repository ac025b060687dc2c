# SPDX-License-Identifier: Apache-2.0
"""Podman: writes one hook file for each stage, into a directory that its `hooks_dir` names.

By default Podman reads only /usr/share/containers/oci/hooks.d. So beside the hook files in /etc, or a user's
in ~/.config, there is a drop-in in containers.conf.d that adds their directory. A hook file replaces those of
the same name in earlier directories: this is used to switch off hooks of a package.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import tempfile

from ocihook.engines import edits, programs
from ocihook.engines.edits import Edit, Plan
from ocihook.engines.engine import EngineState, version
from ocihook.errors import BedeError, InputError
from ocihook.spec import bundle

PROGRAM = "podman"
FOR_USERS = True  #: whether other users than root have files of their own for it
HOOK = bundle.HOOK
SHARE = "/usr/share/containers/oci/hooks.d"  #: packages put hooks there; Podman's default
ETC = "/etc/containers"
NEVER = "/bin/sh"  #: any existing program: a hook's path must exist even if it is never run
_HEAD = "# Made by bede configure podman: where Bede's hooks are."
_DIRECTORIES = re.compile(r"--hooks-dir\b.*\(default \[(.*)\]\)")


def state() -> EngineState:
    """Return the state of Podman on this host, for the current user."""
    note = "run: bede configure podman"
    installed = programs.find(PROGRAM) is not None
    configured = False
    with contextlib.suppress(BedeError):
        found = _active(_directories() if installed else [SHARE])
        configured = len(found) == len(bundle.STAGES)
        if configured:
            note = f"an annotation is enough: hooks in {os.path.dirname(found[0])}"
        elif found:
            note = (
                f"only {len(found)} of {len(bundle.STAGES)} hooks are in effect; run: bede configure podman"
            )
    return EngineState(
        "podman", version(PROGRAM) if installed else "", installed, configured, configured, note
    )


def configure(set_default: bool, wanted: str | None = None) -> Plan:
    """Return the plan that puts Bede's hooks in effect: a package's, or else Bede's own. Raises BedeError.

    *set_default* changes nothing, and *wanted* must be None: the hooks work with any runtime.
    """
    if wanted is not None:
        raise InputError(
            "--real is not for Podman, which runs Bede's hooks with any runtime", "Run it without --real"
        )
    notes = ("Podman needs no default runtime: an annotation alone is enough",) if set_default else ()
    base = _without_ours()
    active = _active(base, without=_own())
    if len(active) == len(bundle.STAGES):
        notes = (*notes, f"Podman runs the hooks in {os.path.dirname(active[0])} by itself")
        return Plan(_files({}, base), notes=notes)
    hook = edits.program(HOOK)
    return Plan(_files({stage: hook_file(stage, hook) for stage in bundle.STAGES}, base), notes=notes)


def unconfigure() -> Plan:
    """Return the plan that removes Bede's hooks, and disables those of a package. Raises BedeError."""
    base = _without_ours()
    active = _active(base, without=_own())
    if not active:
        return Plan(_files({}, base))
    own = _own()
    later = base[base.index(own) :] if own in base else []
    if any(os.path.dirname(path) in later for path in active):
        raise InputError(
            f"hooks_dir names {own} before the package's directory, so files there cannot disable its hooks",
            f"Name {own} last in hooks_dir",
        )
    notes = (f"Files in {own} now mask those of a package in {os.path.dirname(active[0])}",)
    return Plan(_files({stage: mask(stage) for stage in bundle.STAGES}, base), notes=notes)


def hook_file(stage: str, hook: str) -> str:
    """Return the file's text that makes Podman run *hook* (a path) at *stage* of annotated containers."""
    return (
        "{\n"
        '  "version": "1.0.0",\n'
        '  "hook": {\n'
        f'    "path": {json.dumps(hook)},\n'
        f'    "args": ["{HOOK}", "{stage}"]\n'
        "  },\n"
        '  "when": {\n'
        '    "annotations": {\n'
        '      "^bede\\\\.": ".*"\n'
        "    }\n"
        "  },\n"
        f'  "stages": ["{stage}"]\n'
        "}\n"
    )


def mask(stage: str) -> str:
    """Return the text of a file that replaces :func:`hook_file` and never runs anything."""
    entry = {
        "version": "1.0.0",
        "hook": {"path": NEVER},
        "when": {"always": False},
        "stages": [stage],
    }
    return json.dumps(entry, indent=2) + "\n"


def name_of(stage: str) -> str:
    """Return the name of the hook file of *stage*."""
    return f"bede-{stage.lower()}.json"


def hooks_in(directory: str) -> bool:
    """Return whether all of Bede's hooks are in *directory*. Raises BedeError."""
    return len(_active([directory])) == len(bundle.STAGES)


def _home() -> str:
    """Return the directory with the containers configuration that the current user may write."""
    if os.geteuid() == 0:
        return ETC
    return f"{os.environ.get('XDG_CONFIG_HOME') or os.path.expanduser('~/.config')}/containers"


def _own() -> str:
    return f"{_home()}/oci/hooks.d"


def _drop_in() -> str:
    return f"{_home()}/containers.conf.d/bede.conf"


def _files(wanted: dict[str, str], base: list[str]) -> list[Edit]:
    """Return the edits that make *wanted* (text by stage) Bede's hook files.

    *base* is hooks_dir without Bede's drop-in.
    """
    own = _own()
    hooks = []
    for stage in bundle.STAGES:
        path = f"{own}/{name_of(stage)}"
        before = edits.read(path)
        hooks.append(Edit(path, before, wanted.get(stage), _is_ours(before, stage)))
    path = _drop_in()
    before = edits.read(path)
    ours = before is not None and before.startswith(_HEAD)
    after = None if ours else before
    if wanted and own not in base:
        after = _drop_in_text(own, base)
    conf = Edit(path, before, after, ours)
    # Order the edits so that hooks_dir never names a missing directory.
    return [*hooks, conf] if wanted else [conf, *hooks]


def _drop_in_text(own: str, base: list[str]) -> str:
    listed = f'"{own}", {{append=true}}' if _appends() else ", ".join(json.dumps(one) for one in [*base, own])
    return f"{_HEAD}\n[engine]\nhooks_dir = [{listed}]\n"


def _is_ours(text: str | None, stage: str) -> bool:
    if text is None:
        return False
    hook = _hook_path(text)
    return text == mask(stage) or (os.path.basename(hook) == HOOK and text == hook_file(stage, hook))


def _without_ours() -> list[str]:
    """Return hooks_dir as it is without Bede's drop-in."""
    own = _own()
    directories = _directories() if programs.find(PROGRAM) else [SHARE]
    if f'"{own}"' in (edits.read(_drop_in()) or ""):
        directories = [directory for directory in directories if directory != own]
    return directories


def _active(directories: list[str], without: str | None = None) -> list[str]:
    """Return the hook files of Bede that Podman uses if it reads *directories*, without the directory
    *without*."""
    found = []
    for stage in bundle.STAGES:
        for directory in reversed(directories):
            path = f"{directory}/{name_of(stage)}"
            text = edits.read(path) if directory != without else None
            if text is not None:
                if os.path.basename(_hook_path(text)) == HOOK:
                    found.append(path)
                break
    return found


def _hook_path(text: str) -> str:
    try:
        return str(json.loads(text)["hook"]["path"])
    except (ValueError, LookupError, TypeError):
        return ""


def _directories(override: str = "") -> list[str]:
    """Return the hooks_dir that is in effect, which Podman shows as a default in its help.

    *override* is a further configuration file to apply.
    """
    words = [f"{name}={os.environ[name]}" for name in ("XDG_CONFIG_HOME",) if name in os.environ]
    if override:
        words.append(f"CONTAINERS_CONF_OVERRIDE={override}")
    found = _DIRECTORIES.search(programs.output("env", *words, PROGRAM, "--help"))
    return next(csv.reader([found[1]]), []) if found else []


def _appends() -> bool:
    """Return whether Podman knows `{append=true}`: an older Podman would fail with such a file."""
    if programs.find(PROGRAM) is None:
        return True
    with tempfile.NamedTemporaryFile("w", prefix="bede-", suffix=".conf") as file:
        file.write('[engine]\nhooks_dir = ["/bede", {append=true}]\n')
        file.flush()
        with contextlib.suppress(BedeError):
            found = _directories(file.name)
            return "/bede" in found and len(found) > 1
    return False
