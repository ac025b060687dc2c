# SPDX-License-Identifier: Apache-2.0
"""Imports point down only: docs/architecture.md, "Layers"."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = (
    ("demo",),  # a package of vmlab, which follows
    ("vmlab",),
    (
        "cli",
        "hook",
        "runtime",
        "agent",
        "follow",
        "watch",
        "doctor",
        "metrics",
        "launch",
        "engines",
        "cluster",
    ),
    ("backends",),
    ("control", "journal", "loop"),
    ("state", "cgroup", "topology", "native", "mempolicy"),
    ("spec", "sizing", "fs", "host", "config", "clients", "finding", "errors"),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
#: Allowed imports within a layer: the command line drives the other front doors, watch asks the agent and the
#: engines, the agent asks the engines for names, the cluster's controller answers scrapes by metrics, spec
#: has fs read numbers of nodes, and fs raises errors.
SIDEWAYS = {
    *(("cli", room) for room in LAYERS[2]),
    *((room, "errors") for room in LAYERS[-1]),
    ("watch", "engines"),
    ("launch", "engines"),
    ("metrics", "watch"),
    ("cluster", "watch"),
    ("cluster", "engines"),
    ("cluster", "metrics"),
    ("agent", "engines"),
    ("agent", "follow"),
    ("doctor", "engines"),
    ("config", "fs"),
    ("host", "fs"),
    ("spec", "fs"),
    ("config", "host"),
}
#: Allowed imports upwards, from the installed package into what only a checkout has.
DOORS = {"ocihook/cli/vm.py": ("vmlab",), "ocihook/cli/demo.py": ("demo", "vmlab")}


def _room(module: str) -> str:
    package, *rest = module.split(".")
    if package == "vmlab":
        return "demo" if rest[:1] == ["demo"] else package
    return rest[0] if rest else ""


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("ocihook", "vmlab")}


def _modules() -> list[Path]:
    # Programs inside the virtual machine belong to neither package: they are only its payload.
    found = [path for package in ("ocihook", "vmlab") for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if "guest" not in path.relative_to(ROOT).parts]


def _wrong(source: str, imported: str) -> bool:
    if source == imported or imported in ("", "__version__", "_native"):
        return imported == "_native" and source not in ("native", "mempolicy")
    if imported == "cli":
        return True  # nobody may import the command line, which drives all others
    return LEVEL[imported] <= LEVEL[source] and (source, imported) not in SIDEWAYS


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    if len(path.relative_to(ROOT).parts) == 2 and path.stem == "__init__":
        assert not _imports(path)
        return
    source = _room(name.removesuffix(".py").replace("/", "."))
    assert source in LEVEL, f"{source} has no layer in docs/architecture.md"
    through = DOORS.get(name, ())
    rooms = {imported: _room(imported) for imported in sorted(_imports(path))}
    assert [one for one, room in rooms.items() if _wrong(source, room) and room not in through] == []


def test_the_rule_itself_tells_up_from_down() -> None:
    assert _wrong("spec", "cgroup")
    assert _wrong("backends", "hook")
    assert _wrong("cgroup", "state")
    assert _wrong("agent", "cli")
    assert _wrong("backends", "_native")
    assert _wrong("vmlab", "demo")
    assert _wrong("vmlab", "cli")
    assert _wrong("watch", "vmlab")
    assert not _wrong("hook", "backends")
    assert not _wrong("cli", "agent")
    assert not _wrong("native", "_native")
    assert not _wrong("vmlab", "errors")
    assert (_room("vmlab.run"), _room("vmlab.demo.show"), _room("ocihook.fs")) == ("vmlab", "demo", "fs")


def test_no_file_is_longer_than_300_lines() -> None:
    assert [str(path) for path in _modules() if len(path.read_text().splitlines()) >= 300] == []
