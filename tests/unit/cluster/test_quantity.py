# SPDX-License-Identifier: Apache-2.0
"""Quantities mean what they mean to the API server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.cluster import quantity
from ocihook.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128974848", 128974848),
        ("129e6", 129_000_000),
        ("129M", 129_000_000),
        ("128974848000m", 128974848),
        ("123Mi", 123 << 20),
        ("1.5Gi", 3 << 29),
        (".5Gi", 1 << 29),
        ("5.", 5),
        ("1E", 10**18),
        ("1E3", 1000),
        ("1e-3", 1),
        ("100m", 1),
        ("+8Gi", 8 << 30),
        ("0", 0),
        (7, 7),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert quantity.parse(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8 Gi",
        "8GiB",
        "8gi",
        "-1",
        "lots",
        "1e",
        "1e400",
        "0x10",
        "٣",
        "1.5.2",
        None,
        True,
        1.5,
        [],
        "9Ei",
    ],
)
def test_what_is_none(text: object) -> None:
    with pytest.raises(InputError, match="local-memory"):
        quantity.parse(text, "bede.dev/local-memory")


@given(st.integers(0, (1 << 62) - 1))
def test_what_is_written_is_read_again(size: int) -> None:
    assert quantity.parse(quantity.format_bytes(size)) == size


def test_a_person_reads_a_tenth() -> None:
    assert [quantity.in_words(size) for size in (0, 1000, 64 << 20, 63_753_421, 5 << 29)] == [
        *("0", "1000", "64Mi", "60.8Mi", "2.5Gi"),
    ]
