# SPDX-License-Identifier: Apache-2.0
"""No code outside of backends/ compares backends: docs/architecture.md, "One door a backend"."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ocihook
from ocihook.backends import choose, migrate, tier

PACKAGE = Path(ocihook.__file__).parent
NAMES = {path.parent.name for path in (PACKAGE / "backends").glob("*/__init__.py")}
#: Where such a word stands, how often: the default of records that are older than the field; a label for the
#: memory tier of a node.
SAID = {"state/record.py": 1, "metrics/collect.py": 1}
QUESTIONS = ("startswith", "endswith", "removeprefix", "casefold", "lower")
MODULES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if "backends" not in path.relative_to(PACKAGE).parts
]


def _is_name(node: ast.expr) -> bool:
    """Whether *node* is a backend's name, or something that holds one."""
    if isinstance(node, ast.Constant):
        return node.value in NAMES
    if isinstance(node, (ast.Tuple, ast.Set, ast.List)):
        return any(map(_is_name, node.elts))
    if not isinstance(node, ast.Attribute):
        return False
    # nodelimit.NAME is a file's.
    return node.attr == "backend" or (node.attr == "NAME" and ast.unparse(node.value) != "nodelimit")


def comparisons(text: str) -> list[int]:
    """The lines in which a backend's name is compared, or a single backend is imported."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            found += [node.lineno] if any(map(_is_name, (node.left, *node.comparators))) else []
        elif isinstance(node, ast.MatchValue):
            found += [node.value.lineno] if _is_name(node.value) else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found += [node.lineno] if node.func.attr in QUESTIONS and _is_name(node.func.value) else []
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            found += [node.lineno] if _is_name(node.slice) else []
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found += [node.lineno] if any("backends" in name and NAMES & {*name} for name in names) else []
        elif isinstance(node, ast.ImportFrom):
            words = {*(node.module or "").split("."), *(alias.name for alias in node.names)}
            found += [node.lineno] if "backends" in words and words & NAMES else []
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_asks_which_backend_it_is(path: Path) -> None:
    assert comparisons(path.read_text()) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_else_says_a_backends_name(path: Path) -> None:
    """As `named("tier")` would be a question whose answer is known."""
    said = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if _said(node)]
    assert len(said) == SAID.get(str(path.relative_to(PACKAGE)), 0), said


def _said(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in NAMES


@pytest.mark.parametrize(
    "text",
    [
        "record.backend == other",
        "chosen.NAME == other",
        "container.backend.startswith('mig')",
        "{'a': 1}[container.backend]",
        "import ocihook.backends.tier",
        "'tier' != name",
        "name in ('tier', 'migrate')",
        "from ocihook.backends import tier",
        "from ocihook.backends.migrate import steering",
        "match x:\n    case 'tier':\n        pass",
    ],
)
def test_what_counts_as_asking(text: str) -> None:
    assert comparisons(text)


def test_the_list_of_names_is_complete() -> None:
    folder = PACKAGE / "backends"
    assert {path.parent.name for path in folder.glob("*/__init__.py")} == set(choose.NAMES) == NAMES
    assert [choose.named(name).NAME for name in choose.NAMES] == [*choose.NAMES]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_offers_the_same(name: str) -> None:
    functions = {
        name for name, found in inspect.getmembers(choose.named(name), inspect.isfunction) if name[0] != "_"
    }
    others = {name for name, found in inspect.getmembers(tier, inspect.isfunction) if name[0] != "_"}
    assert functions == others
    assert {"check", "bind", "set_bound", "status", "release", "explain"} <= functions


@pytest.mark.parametrize("name", ["tier", "migrate", "node_limit", "of-another-version"])
def test_people_are_told_of_each_without_the_extension(name: str) -> None:
    """The doctor also works on hosts where the extension cannot be loaded."""
    code = (
        "import sys; sys.modules['ocihook._native'] = None\n"
        "from ocihook import config\n"
        "from ocihook.backends import choose\n"
        "from ocihook.control.status import Status\n"
        f"backend = choose.named({name!r})\n"
        f"status = Status('web', '/web', 1, 1, 1, {name!r})\n"
        "print(backend.label(status).split(',')[0], bool(list(backend.examine(None))))\n"
        "backend.alternative(status, config.Config())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{name} True\n", "")


def test_a_record_of_another_versions_backend_is_held_as_tier() -> None:
    assert choose.named("of-another-version") is tier
    assert choose.named("node_limit").hold is tier.hold
    assert choose.named("migrate") is migrate
