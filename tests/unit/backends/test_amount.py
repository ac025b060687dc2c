# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocihook.backends import amount
from ocihook.cgroup.path import Cgroup
from ocihook.errors import InputError
from ocihook.topology import nodes

MIB = 1 << 20


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cgroup]:
    (tmp_path / "memory.max").write_text(f"{400 * MIB}\n")
    monkeypatch.setattr(nodes, "room", lambda local: (0, len(local) * 500 * MIB + 4096))
    with Cgroup(str(tmp_path), "/", os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)) as one:
        yield one


@pytest.mark.parametrize(("text", "mebibytes"), [("64M", 64), ("25%", 100), ("max", 1000)])
def test_a_bound_and_all_there_is(cgroup: Cgroup, text: str, mebibytes: int) -> None:
    assert amount.resolve(text, cgroup, (0, 1)) == mebibytes * MIB


@pytest.mark.parametrize("text", ["", "MAX", "maximum", "12Q"])
def test_what_is_no_bound(cgroup: Cgroup, text: str) -> None:
    with pytest.raises(InputError):
        amount.resolve(text, cgroup, (0,))


@pytest.mark.parametrize(
    ("text", "words"),
    [("64M", ""), ("400M", "memory limit is 400M"), ("100%", "memory limit is 400M"), ("max", "")],
)
def test_a_bound_that_holds_nothing_back(cgroup: Cgroup, text: str, words: str) -> None:
    bound = amount.resolve(text, cgroup, (0, 1))
    found = amount.useless(text, bound, cgroup, (0, 1))
    assert (words in found) if words else (found == "")
