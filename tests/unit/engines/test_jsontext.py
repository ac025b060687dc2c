# SPDX-License-Identifier: Apache-2.0
"""An edit changes one member and no other byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.engines import jsontext

SPACE = st.text(" \t\n", max_size=4)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=5)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), NAMES)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
STYLES = (
    {"indent": 2},
    {"indent": 4},
    {"indent": "\t"},
    {},
    {"separators": (",", ":")},
)


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """*value* as JSON, with any white space where JSON allows it."""

    def space() -> str:
        return draw(SPACE)

    if isinstance(value, dict):
        members = [
            f"{space()}{json.dumps(k)}{space()}:{space()}{draw(written(v))}{space()}"
            for k, v in value.items()
        ]
        return "{" + (",".join(members) or space()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(f"{space()}{draw(written(one))}{space()}" for one in value) + "]"
    return json.dumps(value)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file with a JSON object, as people and programs write it."""
    value = draw(st.dictionaries(NAMES, VALUES, max_size=4))
    style = draw(st.sampled_from((None, *STYLES)))
    text = draw(written(value)) if style is None else json.dumps(value, **style)
    text = draw(st.sampled_from(("", "\n", " "))) + text + draw(st.sampled_from(("", "\n", "\n\n")))
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@given(files(), NAMES, VALUES)
def test_a_removal_gives_back_what_was_before_an_insertion(text: str, name: str, value: Any) -> None:
    before = json.loads(text)
    if name in before:
        return
    put = jsontext.put(text, (name,), value)
    after = json.loads(put)
    assert after == before | {name: value}
    assert list(after) == [*before, name]
    assert jsontext.remove(put, (name,)) == text


@given(files(), st.lists(NAMES, min_size=1, max_size=3), VALUES)
def test_what_is_put_is_there_and_the_rest_too(text: str, path: list[str], value: Any) -> None:
    wanted = json.loads(text)
    at = wanted
    for name in path[:-1]:
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            with pytest.raises(ValueError):
                jsontext.put(text, path, value)
            return
    at[path[-1]] = value
    put = jsontext.put(text, path, value)
    assert json.loads(put) == wanted
    assert json.dumps(json.loads(put)) == json.dumps(wanted)
    assert ("\r\n" in put) >= ("\r\n" in text)


@given(files())
def test_any_member_can_go(text: str) -> None:
    for name in json.loads(text):
        wanted = json.loads(text)
        del wanted[name]
        assert json.dumps(json.loads(jsontext.remove(text, (name,)))) == json.dumps(wanted)


@pytest.mark.parametrize(
    "before, after",
    [
        ('{\n  "a": 1\n}\n', '{\n  "a": 1,\n  "r": {\n    "b": {\n      "p": "x"\n    }\n  }\n}\n'),
        ('{\n\t"a": 1\n}', '{\n\t"a": 1,\n\t"r": {\n\t\t"b": {\n\t\t\t"p": "x"\n\t\t}\n\t}\n}'),
        ('{"a": 1}\n', '{"a": 1, "r": {"b": {"p": "x"}}}\n'),
        ("{}", '{"r": {"b": {"p": "x"}}}'),
        ("{\n}\n", '{\n  "r": {\n    "b": {\n      "p": "x"\n    }\n  }\n}\n'),
        ('{\n    "r": {}\n}\n', '{\n    "r": {"b": {"p": "x"}}\n}\n'),
        (
            '{\r\n  "r": {\r\n    "k": {}\r\n  }\r\n}\r\n',
            '{\r\n  "r": {\r\n    "k": {},\r\n    "b": {\r\n      "p": "x"\r\n    }\r\n  }\r\n}\r\n',
        ),
    ],
)
def test_what_is_put_looks_like_the_rest_of_the_file(before: str, after: str) -> None:
    assert jsontext.put(before, ("r", "b"), {"p": "x"}) == after


@pytest.mark.parametrize(
    "text", ["", "[]", "1", '{"a": 1', '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', "{" * 9999]
)
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        jsontext.put(text, ("r",), 1)


def test_a_value_in_the_way_is_refused() -> None:
    with pytest.raises(ValueError):
        jsontext.put('{"a": []}', ("a", "b"), 1)
    with pytest.raises(KeyError):
        jsontext.remove('{"a": {}}', ("a", "b"))
    with pytest.raises(KeyError):
        jsontext.remove('{"a": {}}', ("b", "b"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": null}', '{"a": {"b": {"c": 1}}}'),
        ('{"a": {"b":null }, "d": 0}', '{"a": {"b":{"c": 1} }, "d": 0}'),
        ('{\n  "a": null\n}\n', '{\n  "a": {\n    "b": {\n      "c": 1\n    }\n  }\n}\n'),
    ],
)
def test_a_null_on_the_way_is_as_nothing(text: str, expected: str) -> None:
    assert jsontext.put(text, ("a", "b", "c"), 1) == expected
