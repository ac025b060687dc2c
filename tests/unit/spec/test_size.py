# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import InputError
from ocihook.spec import size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("134217728", 128 << 20),
        ("128M", 128 << 20),
        ("128m", 128 << 20),
        ("128MB", 128 << 20),
        ("128Mi", 128 << 20),
        ("128MiB", 128 << 20),
        (" 2G ", 2 << 30),
        ("2 G", 2 << 30),
        ("1T", 1 << 40),
        ("1.5G", 3 << 29),
        ("0.3K", 307),
        ("7b", 7),
        ("0", 0),
    ],
)
def test_sizes_are_read_as_docker_reads_them(text: str, expected: int) -> None:
    assert size.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "G",
        "-1",
        "+1",
        "1.",
        ".5G",
        "1e9",
        "0x10",
        "1,5G",
        "12P",
        "1GG",
        "٣",
        "1_0",
        "9" * 39,
        "1\x00",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        size.parse(text, "annotation x:")
    assert caught.value.message.startswith("annotation x:")
    assert "128M" in caught.value.hint


@given(st.integers(0, 1 << 60))
def test_a_formatted_size_reads_back_exactly(value: int) -> None:
    assert size.parse(size.format_size(value)) == value


@given(st.text())
def test_no_text_does_worse_than_an_input_error(text: str) -> None:
    try:
        assert size.parse(text) >= 0
    except InputError as error:
        assert "\n" not in error.line("x")


def test_format_takes_the_largest_unit_that_divides() -> None:
    assert [size.format_size(n) for n in (0, 1000, 1024, 128 << 20, 3 << 29)] == [
        "0",
        "1000",
        "1K",
        "128M",
        "1536M",
    ]
