# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import InputError
from ocihook.spec import annotation

G = 1 << 30


def _resolve(annotations: dict[str, str], limit: int | None = None) -> tuple[int, dict[int, int]]:
    policy = annotation.parse(annotations)
    assert policy is not None
    return policy.resolve(limit)


@pytest.mark.parametrize(
    "annotations", [None, {}, {"org.example": "1"}, {"bedeX": "1"}, {"xbede.local": "1"}]
)
def test_without_bede_annotations_there_is_no_policy(annotations: dict[str, str] | None) -> None:
    assert annotation.parse(annotations) is None


def test_a_size_needs_no_limit() -> None:
    assert _resolve({"bede.local": "2G", "other": "x"}) == (2 * G, {})


def test_a_percentage_is_of_the_memory_limit_rounded_down() -> None:
    assert _resolve({"bede.local": "25%"}, 4 * G) == (G, {})
    assert _resolve({"bede.local": "12.5 %"}, 8 * G + 7) == (G, {})
    assert _resolve({"bede.local": "100%"}, G) == (G, {})


def test_a_percentage_without_a_limit_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"bede\.local: 25%") as caught:
        _resolve({"bede.local": "25%"})
    assert "--memory" in caught.value.hint


def test_nodes_are_bounds_of_their_own() -> None:
    given_nodes = {"bede.local": "2G", "bede.local.0": "1G", "bede.local.12": "50%"}
    assert _resolve(given_nodes, 4 * G) == (2 * G, {0: G, 12: 2 * G})


def test_the_policy_keeps_what_was_given() -> None:
    policy = annotation.parse({"bede.local": "2G", "other": "x"})
    assert policy is not None
    assert policy.given == {"bede.local": "2G"}


@pytest.mark.parametrize(
    ("annotations", "message", "hint"),
    [
        ({"bede.loca": "1G"}, "bede.loca", "bede.local"),
        ({"bede.": "1G"}, "bede.", "bede.local"),
        ({"bede.local": "1G", "bede.Local": "1G"}, "bede.Local", "bede.local"),
        ({"bede.local": "1G", "bede.local.": "1G"}, "node", "bede.local.0"),
        ({"bede.local": "1G", "bede.local.01": "1G"}, "node", "bede.local.0"),
        ({"bede.local": "1G", "bede.local.-1": "1G"}, "node", "bede.local.0"),
        ({"bede.local": "1G", "bede.local.1024": "1G"}, "node", "bede.local.0"),
        ({"bede.local": "1G", "bede.local.x": "1G"}, "node", "bede.local.0"),
        ({"bede.local.0": "1G"}, "no bede.local", "bede.local=SIZE"),
        ({"bede.local": "1G", "bede.local.0": "2G"}, "2G", "raise it"),
        ({"bede.local": "4095K"}, "smallest bound", "4M"),
        ({"bede.local": "0"}, "smallest bound", "4M"),
        ({"bede.local": "0%"}, "percentage", "25%"),
        ({"bede.local": "0.0%"}, "percentage", "25%"),
        ({"bede.local": "101%"}, "percentage", "25%"),
        ({"bede.local": "100.01%"}, "percentage", "25%"),
        ({"bede.local": "-5%"}, "percentage", "25%"),
        ({"bede.local": "%"}, "percentage", "25%"),
        ({"bede.local": ""}, "amount of memory", "128M"),
        ({"bede.local": "lots"}, "amount of memory", "128M"),
    ],
)
def test_mistakes_are_named_with_what_to_do(annotations: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        _resolve(annotations, G)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_percentage_of_little_is_below_the_smallest_bound() -> None:
    with pytest.raises(InputError, match="smallest bound"):
        _resolve({"bede.local": "1%"}, 100 << 20)


def test_four_mebibytes_are_enough() -> None:
    assert _resolve({"bede.local": "4M"}) == (4 << 20, {})


_NAMES = st.one_of(
    st.just("bede.local"), st.text().map("bede.".__add__), st.integers().map("bede.local.{}".format)
)
_VALUES = st.one_of(st.text(), st.from_regex(r"[0-9.]{0,6}[%KMGTib]{0,3}"))


@given(st.dictionaries(_NAMES, _VALUES, min_size=1), st.none() | st.integers(0, 1 << 50))
def test_any_bede_annotation_is_a_bound_or_an_input_error(
    annotations: dict[str, str], limit: int | None
) -> None:
    try:
        bound, nodes = _resolve(annotations, limit)
    except InputError as error:
        assert error.line("x").isprintable()
        return
    assert bound >= annotation.MINIMUM
    assert all(annotation.MINIMUM <= value <= bound for value in nodes.values())
