# SPDX-License-Identifier: Apache-2.0
"""A block is added at the end of a file, and is removed without a trace."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.engines import toml
from ocihook.errors import InputError


@given(st.text("ab# =\n", max_size=30), st.booleans())
def test_what_was_before_a_block_comes_back(text: str, dos: bool) -> None:
    text = text.replace("\n", "\r\n") if dos else text
    block = toml.append(text, "[a]\nb = 1")
    assert block.startswith(text)
    assert block.count("\r\n") == (block.count("\n") if dos and "\n" in text else 0)
    assert toml.cut(block) == text
    assert toml.cut(block + "c = 1\n").replace("\r", "").endswith("c = 1\n")


def test_tables_are_toml() -> None:
    values = {"a": 'x"\\', "b": [1, "two"], "c": True, "d": {"e": {"f": 1}, "g": 2}, "h": {}}
    text = toml.tables(("plugins", "io.x/y"), values)
    assert tomllib.loads(text) == {"plugins": {"io.x/y": values}}
    assert text.splitlines()[0] == '[plugins."io.x/y"]'


def test_what_is_no_toml_is_refused() -> None:
    with pytest.raises(InputError, match="/etc/x is not TOML"):
        toml.load("[", "/etc/x")
