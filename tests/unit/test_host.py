# SPDX-License-Identifier: Apache-2.0
"""Code reaches the host's files in one way only, so that a test can replace the host."""

import ast
from pathlib import Path

import hosts
import pytest

import ocihook
from ocihook import host

PACKAGE = Path(ocihook.__file__).parent
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "host.py"]


def _is_path(node: ast.AST) -> bool:
    """Whether *node* is the path of a kernel file, not a sentence about one."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and text.startswith(("/proc", "/sys/")) and " " not in text


def _is_door(node: ast.AST) -> bool:
    """Whether *node* is a call of a function of `host`, or the value of a constant."""
    if isinstance(node, ast.Call):
        called = node.func
        return isinstance(called, ast.Attribute) and ast.unparse(called.value) == "host"
    return isinstance(node, ast.Assign) and all(ast.unparse(name).isupper() for name in node.targets)


def around(text: str) -> list[int]:
    """The lines in which a path is used without `host`."""
    tree = ast.parse(text)
    behind = {id(below) for node in ast.walk(tree) if _is_door(node) for below in ast.walk(node)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and _is_path(node) and id(node) not in behind
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_goes_around_the_door(path: Path) -> None:
    assert around(path.read_text()) == []


def test_what_goes_around_it() -> None:
    assert around('fs.read(f"/proc/{pid}/stat")')
    assert around('host.read(f"/proc/{pid}/stat")') == []


def test_one_redirect_shows_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.redirect(monkeypatch, tmp_path)
    assert host.balancing() is None
    hosts.put(tmp_path, host.BALANCING, "2\n")
    assert host.balancing() == 2
