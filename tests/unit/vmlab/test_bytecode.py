# SPDX-License-Identifier: Apache-2.0
"""Bytecode that the host compiles for the machine."""

import importlib.util
import sys
from pathlib import Path

import pytest

from vmlab import bytecode, cache, debian
from vmlab.progress import Progress


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, in which this host's own Python takes the place of Debian's."""
    monkeypatch.setattr(cache, "root", lambda: tmp_path)
    monkeypatch.setattr(debian, "ensure", lambda *_: Path("/"))
    monkeypatch.setattr(bytecode, "_python", lambda _: [sys.executable])
    return tmp_path


def test_modules_are_compiled_under_the_names_they_have_in_the_machine(here: Path) -> None:
    source = here / "source.py"
    source.write_text("def where():\n    raise ValueError\n")
    wrong = here / "wrong.py"
    wrong.write_text("print 'of another time'\n")
    files = {"usr/lib/bede/one.py": source, "usr/lib/bede/two.py": wrong, "etc/three.yaml": source}
    found = bytecode.of(files, Progress(quiet=True))
    (name,) = found
    assert name == importlib.util.cache_from_source("usr/lib/bede/one.py")
    assert b"/usr/lib/bede/one.py" in found[name].read_bytes()
    assert found[name].read_bytes()[4:8] == b"\x01\0\0\0"  # PEP 552: a hash that is not compared
    source.write_text("changed = True\n")
    assert bytecode.of(files, Progress(quiet=True))[name] != found[name]
