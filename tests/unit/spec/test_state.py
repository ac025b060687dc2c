# SPDX-License-Identifier: Apache-2.0
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import InputError
from ocihook.spec import state

GOOD: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "id": "web_1.a+b-c",
    "status": "creating",
    "pid": 123,
    "bundle": "/run/containers/web",
    "annotations": {"bede.local": "2G"},
}


def _parse(**changes: object) -> state.State:
    return state.parse(json.dumps({**GOOD, **changes}))


def test_a_whole_state() -> None:
    found = _parse()
    assert (found.id, found.pid, found.bundle) == ("web_1.a+b-c", 123, "/run/containers/web")
    assert (found.status, found.annotations) == ("creating", {"bede.local": "2G"})


def test_a_stopped_container_may_lack_pid_annotations_and_status() -> None:
    found = state.parse(b'{"id": "a", "bundle": "/b"}')
    assert (found.pid, found.annotations, found.status) == (0, None, "")
    assert _parse(pid=None, annotations=None).annotations is None


@pytest.mark.parametrize("status", ["created", "creating", "running", "stopped", "some new word"])
def test_the_status_is_never_judged(status: str) -> None:
    assert _parse(status=status).status == status


@pytest.mark.parametrize(
    "id", [None, 1, "", ".", "..", "-a", "a/b", "../a", "a b", "a\n", "é", "a" * 201, "a\0"]
)
def test_ids_that_are_no_file_names_are_refused(id: object) -> None:
    with pytest.raises(InputError, match="id"):
        _parse(id=id)


@pytest.mark.parametrize("bundle", [None, 1, "", "b", "./b", "/a/../b", "/a\0b", "/" + "a" * 5000, "/\ud800"])
def test_bundles_that_are_no_absolute_paths_are_refused(bundle: object) -> None:
    with pytest.raises(InputError, match="bundle"):
        _parse(bundle=bundle)


@pytest.mark.parametrize("pid", [-1, True, "1", 1.0, 1 << 23, [1]])
def test_pids_that_are_none_are_refused(pid: object) -> None:
    with pytest.raises(InputError, match="pid"):
        _parse(pid=pid)


@pytest.mark.parametrize("annotations", [[], "a", 1, {"bede.local": 1}, {"bede.local": None}])
def test_annotations_are_strings(annotations: object) -> None:
    with pytest.raises(InputError, match="annotation"):
        _parse(annotations=annotations)


@pytest.mark.parametrize("data", [b"", b" \n", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b"[" * 200_000])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="state"):
        state.parse(data)


def test_a_state_beyond_one_mebibyte_is_not_read() -> None:
    with pytest.raises(InputError, match="1 MiB"):
        _parse(annotations={"x": "y" * (1 << 20)})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from(sorted(GOOD)), _JSON)
def test_any_field_is_good_or_an_input_error(field: str, value: object) -> None:
    try:
        found = _parse(**{field: value})
    except InputError:
        return
    assert "/" not in found.id
    assert found.bundle.startswith("/")
    assert found.pid >= 0
