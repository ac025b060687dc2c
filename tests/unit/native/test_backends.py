# SPDX-License-Identifier: Apache-2.0
"""A backend is a file of its own and a line in one table: the holder names no backend."""

import re
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[3] / "native"
PARTS = ["demoter", "mover", "steering", "switcher"]  #: parts that belong to one backend only


def _backends() -> list[str]:
    return re.findall(r"&bede_(\w+)", (NATIVE / "backends.c").read_text())


def test_the_table_lists_the_backends() -> None:
    assert {"tier", "migrate"} <= set(_backends())


@pytest.mark.parametrize("file", ["holder.c", "holding.h"])
def test_the_holder_names_no_backend(file: str) -> None:
    text = (NATIVE / file).read_text().lower()
    assert [name for name in _backends() + PARTS if name in text] == []
