# SPDX-License-Identifier: Apache-2.0
"""containerd: adds the runtime `bede` to its CRI plugin, which Kubernetes uses.

The runtime goes into a drop-in if config.toml imports one, else into a block at the end of config.toml. In
files of version 2 a plugin's section replaces those of all earlier files, so the block goes into the last one
that has one. containerd 1 drops its built-in runtime if a file names any: so the block names that, too. The
result is compared with an earlier `containerd config dump`, so that no setting is lost.
"""

from __future__ import annotations

import fnmatch
from typing import Any

from ocihook.engines import containerd_dump, containerd_files, edits, programs, real, toml
from ocihook.engines.containerd_files import BUILT_IN, HEAD, NAME, RUNC, File
from ocihook.engines.edits import Edit, Plan
from ocihook.engines.engine import EngineState, class_note
from ocihook.engines.engine import version as version_of
from ocihook.errors import BedeError, InputError

PROGRAM = containerd_dump.PROGRAM
FOR_USERS = False  #: whether other users than root have files of their own for it
THEN = "systemctl restart containerd"
#: patterns of annotations that containerd passes on; "*" does not match the "/" before a container's name
ANNOTATIONS = ["bede.*", "bede.*/*"]


def state() -> EngineState:
    """Return the state of containerd on this host, by its files."""
    configured = default = False
    note = "ctr needs nothing; for Kubernetes run: bede configure containerd"
    behind = lost = lacks = ""
    failed = None
    try:
        files = containerd_files.load()
        version = containerd_files.version(files) or 2
        table = _in_files(files, version)
        bede = toml.get(table, "runtimes", "bede")
        configured = containerd_files.is_ours(bede)
        default = configured and table.get("default_runtime_name") == "bede"
        if configured:
            others = _in_files(_base(files), version)
            behind, lost = real.told(NAME, _known(others), _default(others), bede["options"]["BinaryName"])
            if not _passes(bede.get("pod_annotations")):  # an earlier Bede wrote it
                lacks = "bounds of a pod's single containers do not reach Bede"
    except BedeError as error:
        failed, note = error, error.message
        configured = default = False
    note = class_note(configured, default, note)
    installed = programs.find(PROGRAM) is not None
    own_version = version_of(PROGRAM) if installed else ""
    return EngineState(NAME, own_version, installed, configured, default, note, behind, lost, failed, lacks)


def configure(set_default: bool, wanted: str | None = None) -> Plan:
    """Return the plan that adds the runtime class bede. Raises BedeError.

    bede-runtime will start the *wanted* runtime, or the default one. *set_default* makes bede the default.
    """
    files = containerd_files.load()
    base = _base(files)
    own = containerd_files.version(base)
    version = own or containerd_files.version(files) or containerd_dump.speaks()
    # If bede is the default, it stays so until `bede unconfigure`.
    set_default |= _in_files(files, version).get("default_runtime_name") == "bede"
    dumped = containerd_dump.dump(base, version)
    table = containerd_dump.cri(dumped) or _in_files(base, version)
    if toml.get(table, "runtimes", "bede") is not None:
        raise InputError("containerd has a runtime bede that is not Bede's", "Take it out, or rename it")
    default = _default(table)
    replaced = default if set_default and default != BUILT_IN else ""
    behind, notes = real.choose(NAME, _known(table), default, wanted, replaced)
    if replaced and behind is None:
        raise InputError(
            f'bede-runtime cannot start "{default}", the default runtime of containerd',
            "Remove default_runtime_name from its files first, or run without --set-default",
        )
    wrapper = edits.program(real.WRAPPER)
    script, left = real.edit(NAME, behind, wrapper)
    path = _target(base, version)
    target = next((file for file in base if file.path == path), None) or File(path, "", {})
    runtimes = table.get("runtimes") or {}
    like = runtimes.get(behind.name if behind else default) or runtimes.get(BUILT_IN) or {}
    bede = runtime(script.path if behind else wrapper, like)
    text, blocks = _blocks(target, version, runtimes, bede, replaced if set_default else None)
    body = "\n\n".join(toml.tables(*block) for block in blocks.items())
    if target not in base:
        text = f"{HEAD}\nversion = {version}\n\n{body}\n"
        base = [*base, target]
    else:  # a file of comments has no version yet
        text = toml.append(text, body if target.data else f"version = {version}\n\n{body}")
    after = File(path, text, toml.load(text, path))
    planned = [after if file is target else file for file in base]
    if dumped is not None:
        _check(dumped, planned, version)
    found = _edits(files, planned)
    return Plan([script, *found] if behind else [*found, script], THEN, (*notes, *left))


def unconfigure() -> Plan:
    """Return the plan that removes Bede's settings, and files that have no others. Raises BedeError."""
    files = containerd_files.load()
    script, left = real.edit(NAME, None)
    return Plan([*_edits(files, _base(files)), script], THEN, left)


def runtime(wrapper: str, like: dict[str, Any]) -> dict[str, Any]:
    """Return the table of the runtime `bede`: a copy of *like* with *wrapper* in place of runc."""
    own: dict[str, Any] = {"runtime_type": RUNC}
    if like.get("runtime_type") == RUNC:
        own = _said(like)
    for name in ("pod_annotations", "container_annotations"):
        own[name] = [*(text for text in own.get(name, []) if text not in ANNOTATIONS), *ANNOTATIONS]
    own["options"] = {**own.get("options", {}), "BinaryName": wrapper}
    return own


def _passes(patterns: object) -> bool:
    """Return whether *patterns* of pods' annotations match all of Bede's, as path.Match of Go has it."""
    texts = patterns if isinstance(patterns, list) else []
    globs = [text.split("/") for text in texts if isinstance(text, str)]
    return all(
        any(len(glob) == len(parts) and all(map(fnmatch.fnmatchcase, parts, glob)) for glob in globs)
        for parts in (["bede.local"], ["bede.local.0"], ["bede.local", "web"], ["bede.local.0", "web"])
    )


def _base(files: list[File]) -> list[File]:
    """Return the files without Bede's settings. Raises InputError."""
    return [file for file in map(containerd_files.without_ours, files) if file is not None]


def _target(base: list[File], version: int) -> str:
    """Return the path of the file that the runtime goes into."""
    name = containerd_files.plugin(version)
    holders = [file.path for file in base if toml.get(file.data, "plugins", name) is not None]
    if version == 2 and holders:
        return holders[-1]
    return containerd_files.OWN if containerd_files.imports_own(base) else containerd_files.CONFIG


def _blocks(
    target: File, version: int, runtimes: dict[str, Any], bede: dict[str, Any], replaced: str | None
) -> tuple[str, dict[tuple[str, ...], dict[str, Any]]]:
    """Return the target's text, and the tables to append to it. Raises BedeError.

    *runtimes* are those that the CRI plugin has; *bede* is the new runtime's table. *replaced* is the default
    that bede replaces: "" for the built-in one, None if bede replaces none.
    """
    text = target.text
    where = ("plugins", containerd_files.plugin(version), "containerd")
    blocks: dict[tuple[str, ...], dict[str, Any]] = {}
    if replaced is not None:
        changed = containerd_files.with_default(text, where[1], target.path, replaced)
        if changed is None:
            blocks[where] = {"default_runtime_name": "bede"}
        else:
            text = changed
    if version == 2:
        # The built-in runtime is dropped if a file names any.
        known = runtimes or {BUILT_IN: {"runtime_type": RUNC}}
        named = toml.get(target.data, *where, "runtimes") or {}
        blocks |= {(*where, "runtimes", name): _said(known[name]) for name in known if name not in named}
    blocks[(*where, "runtimes", "bede")] = bede
    return text, blocks


def _default(table: dict[str, Any]) -> str:
    default = table.get("default_runtime_name") or BUILT_IN
    return BUILT_IN if default == "bede" else str(default)


def _known(table: dict[str, Any]) -> dict[str, str | None]:
    """Return the programs of the CRI plugin's runtimes, in the form for :func:`real.choose`."""
    runtimes = table.get("runtimes") or {}
    return {BUILT_IN: "", **{name: _program(runtime) for name, runtime in runtimes.items()}}


def _program(runtime: object) -> str | None:
    if toml.get(runtime, "runtime_type") not in (None, "", RUNC):
        return None
    program = str(toml.get(runtime, "options", "BinaryName") or "")
    return None if real.is_ours(program) else program


def _check(before: dict[str, Any], planned: list[File], version: int) -> None:
    """Check with containerd that *planned* loses no setting. Raises InputError if it does."""
    after = containerd_dump.dump(planned, version)
    if after is None:
        return
    lost = containerd_dump.lost(before, after)
    if not containerd_files.is_ours(toml.get(containerd_dump.cri(after), "runtimes", "bede")):
        lost.append("the runtime bede")
    if lost:
        raise InputError(
            f"with the new files containerd would lose the setting {lost[0]}",
            "Write the runtime into its files by hand",
        )


def _in_files(files: list[File], version: int) -> dict[str, Any]:
    """Return the `containerd` table of the CRI plugin that *files* make, without containerd's defaults."""
    name = containerd_files.plugin(version)
    found: dict[str, Any] = {}
    for file in files:
        section = toml.get(file.data, "plugins", name)
        if isinstance(section, dict):
            found = section if version == 2 else _merged(found, section)
    table = found.get("containerd")
    return table if isinstance(table, dict) else {}


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = dict(first)
    for name, value in second.items():
        old = both.get(name)
        both[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def _said(values: dict[str, Any]) -> dict[str, Any]:
    """Return *values* without those that are empty: a dump shows defaults as well."""
    clean = {name: _said(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in clean.items() if value}


def _edits(files: list[File], planned: list[File]) -> list[Edit]:
    """Return the edits from *files* to *planned*; config.toml comes last, because it names the others."""
    before = {file.path: file.text for file in files}
    after = {file.path: file.text for file in planned}
    kept = [file.path for file in _base(files)]
    found = [Edit(path, before.get(path), after.get(path), path not in kept) for path in before | after]
    return sorted(found, key=lambda edit: edit.path == containerd_files.CONFIG)
