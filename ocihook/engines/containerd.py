"""containerd: the runtime `bede` of its CRI side, which is what Kubernetes asks for.

It goes into a drop-in where config.toml imports one, else into a block at the end of config.toml. In files of
version 2 a section of the plugin replaces that of every file before: there the block goes into the last file
that has one. containerd 1 also forgets its built-in runtime where a file names any: the block names that too.
What comes out is compared with what `containerd config dump` said before: nothing may be lost.
"""

from __future__ import annotations

from typing import Any

from ocihook.engines import containerd_dump, containerd_files, edits, programs, toml
from ocihook.engines.containerd_dump import PROGRAM
from ocihook.engines.containerd_files import HEAD, RUNC, WRAPPER, File
from ocihook.engines.edits import Edit, Plan
from ocihook.engines.engine import Engine, class_note
from ocihook.engines.engine import version as version_of
from ocihook.errors import BedeError, InputError

THEN = "systemctl restart containerd"
ANNOTATIONS = ["bede.*"]


def state() -> Engine:
    """containerd on this host, by its files."""
    configured = default = False
    note = "ctr needs nothing; for Kubernetes run: bede configure containerd"
    try:
        files = containerd_files.load()
        table = _in_files(files, containerd_files.version(files) or 2)
        configured = containerd_files.is_ours(toml.get(table, "runtimes", "bede"))
        default = configured and table.get("default_runtime_name") == "bede"
    except BedeError as error:
        note = error.message
    note = class_note(configured, default, note)
    there = programs.find(PROGRAM) is not None
    return Engine("containerd", version_of(PROGRAM) if there else "", there, configured, default, note)


def configure(set_default: bool) -> Plan:
    """Add the runtime class, and make it the default one. Raises BedeError."""
    files = containerd_files.load()
    base = _base(files)
    own = containerd_files.version(base)
    version = own or containerd_files.version(files) or containerd_dump.speaks()
    # What was made the default stays it until somebody unconfigures it.
    set_default |= _in_files(files, version).get("default_runtime_name") == "bede"
    dumped = containerd_dump.dump(base, version)
    table = containerd_dump.cri(dumped) or _in_files(base, version)
    if toml.get(table, "runtimes", "bede") is not None:
        raise InputError("containerd has a runtime bede that is not Bede's", "Take it out, or rename it")
    path = _target(base, version)
    target = next((file for file in base if file.path == path), None) or File(path, "", {})
    text, blocks = _blocks(target, version, table, set_default)
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
    return Plan(_edits(files, planned), THEN)


def unconfigure() -> Plan:
    """Take out what is ours, and files that say nothing else. Raises BedeError."""
    files = containerd_files.load()
    return Plan(_edits(files, _base(files)), THEN)


def runtime(wrapper: str, like: dict[str, Any]) -> dict[str, Any]:
    """The table of runtime `bede`, which is that of *like* with *wrapper* in the place of runc."""
    own: dict[str, Any] = {"runtime_type": RUNC}
    if like.get("runtime_type") == RUNC:
        own = _said(like)
    for name in ("pod_annotations", "container_annotations"):
        own[name] = [*(one for one in own.get(name, []) if one not in ANNOTATIONS), *ANNOTATIONS]
    own["options"] = {**own.get("options", {}), "BinaryName": wrapper}
    return own


def _base(files: list[File]) -> list[File]:
    """The files without what is ours in them. Raises InputError."""
    return [file for file in map(containerd_files.without_ours, files) if file is not None]


def _target(base: list[File], version: int) -> str:
    """The file that the runtime goes into."""
    name = containerd_files.plugin(version)
    holders = [file.path for file in base if toml.get(file.data, "plugins", name) is not None]
    if version == 2 and holders:
        return holders[-1]
    return containerd_files.OWN if containerd_files.imports_own(base) else containerd_files.CONFIG


def _blocks(
    target: File, version: int, table: dict[str, Any], set_default: bool
) -> tuple[str, dict[tuple[str, ...], dict[str, Any]]]:
    """The target's text, and the tables to append to it, where the CRI side has *table*. Raises BedeError."""
    text = target.text
    where = ("plugins", containerd_files.plugin(version), "containerd")
    runtimes = table.get("runtimes") or {}
    default = table.get("default_runtime_name") or "runc"
    blocks: dict[tuple[str, ...], dict[str, Any]] = {}
    if set_default:
        if default not in ("runc", "bede"):
            raise InputError(
                f'the default runtime of containerd is "{default}"',
                "Take default_runtime_name out of its files first, or leave --set-default away",
            )
        changed = containerd_files.with_default(text, where[1], target.path)
        if changed is None:
            blocks[where] = {"default_runtime_name": "bede"}
        else:
            text = changed
    if version == 2:
        # Of the built-in one nothing is left where a file names any.
        known = runtimes or {"runc": {"runtime_type": RUNC}}
        there = toml.get(target.data, *where, "runtimes") or {}
        blocks |= {(*where, "runtimes", one): _said(known[one]) for one in known if one not in there}
    like = runtimes.get(default) or runtimes.get("runc") or {}
    blocks[(*where, "runtimes", "bede")] = runtime(edits.program(WRAPPER), like)
    return text, blocks


def _check(before: dict[str, Any], planned: list[File], version: int) -> None:
    """Ask containerd what *planned* would come to. Raises InputError where it is not what was meant."""
    after = containerd_dump.dump(planned, version)
    if after is None:
        return
    lost = containerd_dump.lost(before, after)
    if not containerd_files.is_ours(toml.get(containerd_dump.cri(after), "runtimes", "bede")):
        lost.append("the runtime bede")
    if lost:
        raise InputError(f"containerd would go without {lost[0]}", "Write the runtime into its files by hand")


def _in_files(files: list[File], version: int) -> dict[str, Any]:
    """The `containerd` table of the CRI plugin that *files* come to, as far as they say."""
    name = containerd_files.plugin(version)
    found: dict[str, Any] = {}
    for file in files:
        section = toml.get(file.data, "plugins", name)
        if isinstance(section, dict):
            found = section if version == 2 else _merged(found, section)
    table = found.get("containerd")
    return table if isinstance(table, dict) else {}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for name, value in other.items():
        old = both.get(name)
        both[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def _said(values: dict[str, Any]) -> dict[str, Any]:
    """*values* without what a dump shows although it is the default."""
    clean = {name: _said(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in clean.items() if value}


def _edits(files: list[File], planned: list[File]) -> list[Edit]:
    """What makes *planned* of *files*: config.toml last, which names the others."""
    before = {file.path: file.text for file in files}
    after = {file.path: file.text for file in planned}
    kept = [file.path for file in _base(files)]
    found = [Edit(path, before.get(path), after.get(path), path not in kept) for path in before | after]
    return sorted(found, key=lambda edit: edit.path == containerd_files.CONFIG)
