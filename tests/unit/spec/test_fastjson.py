# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import InputError
from ocihook.spec import fastjson

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30
)


@given(_VALUES)
def test_values_round_trip(value: object) -> None:
    text = fastjson.dumps(value)
    assert fastjson.loads(text) == value
    assert text == json.dumps(value)


@given(_VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_what_json_writes_is_read_alike(value: object, indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert fastjson.loads(text) == value
    assert fastjson.loads(f"\n {text}\t\r\n") == value


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn \\u\n\ud800é') | st.text())
def test_what_json_refuses_is_refused(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(InputError):
            fastjson.loads(text)
    else:
        assert repr(fastjson.loads(text)) == repr(expected)  # NaN is not equal to itself


@given(st.binary())
def test_no_bytes_do_worse_than_an_input_error(data: bytes) -> None:
    try:
        fastjson.loads(data)
    except InputError as error:
        assert error.message.startswith("the document")


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "[Infinity]", "1e999"])
def test_numbers_beyond_the_standard_are_those_of_json(text: str) -> None:
    assert repr(fastjson.loads(text)) == repr(json.loads(text))
    assert fastjson.dumps(fastjson.loads(text)) == json.dumps(json.loads(text))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, "", "{", "[1,]", '{"a" 1}', '"\x01"', "1 2"]
)
def test_malformed_documents_are_input_errors(text: str) -> None:
    with pytest.raises(InputError, match=r"^the state is not"):
        fastjson.loads(text, "the state")


def test_what_is_no_json_value_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        fastjson.dumps({"a": object()})


@pytest.mark.parametrize("text", ["{", "[1,", '"a', '{"a":1,}', "tru"])
def test_errors_are_clear_before_json_was_ever_imported(text: str) -> None:
    # Up to Python 3.12 the C scanner cannot even raise its own exception in this case.
    code = f"""
import sys
from ocihook.errors import InputError
from ocihook.spec import fastjson
assert "json" not in sys.modules
try:
    fastjson.loads({text!r})
except InputError as error:
    print(error.message)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.startswith("the document is not JSON: ")
