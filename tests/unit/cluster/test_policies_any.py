# SPDX-License-Identifier: Apache-2.0
"""The policies in CEL do what admission.py does for any pod, and any change of one."""

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import RefusedError, created, meaning, update
from test_admission import applied, container, pod

from ocihook.cluster import admission
from ocihook.cluster.words import BOUND, LENT, RESOURCE
from ocihook.errors import InputError

Json = dict[str, Any]
#: What admission.py refuses and the policies leave to the node: comparisons of the bounds of single nodes.
LEFT = re.compile(r"annotation bede\.local\.\S+: .* is above ")
_GOOD = (
    *["64M", "64Mi", "67108864", "1.5G", "4M", "4097k", "1T", "100%", "25%", "33%"],
    *(" 64mib ", "0.1 g", "12.5 %"),
    # In floating point these come to a byte less.
    *("4.00000000000M", "2.01%"),
)
_BAD = ("4194303", "3.9M", "1P", "0%", "101%", "0.1%", "", "x", "1.G", "2G2", "-1")
_texts = st.sampled_from(_GOOD) | st.sampled_from((*_GOOD, *_BAD))
_ALL = ("bede.local", "bede.local.0")
_OWN = ("bede.local/a", "bede.local/b", "bede.local.1/a")
_KEYS = (*_ALL, *_OWN, "bede.dev/x", "other")
_annotations = st.dictionaries(
    st.sampled_from(_KEYS)
    | st.sampled_from((*_KEYS, "bede.local/init", "bede.local/other", "bede.locl", "bede.local.00")),
    _texts,
    max_size=3,
)
_requests = st.sampled_from(("64Mi", "64Mi", "67108864", "1.5Gi", "1Mi", "4Mi", "100M", "0"))
_limits = st.builds(
    lambda one, two: one | two,
    st.just({})
    | st.fixed_dictionaries({RESOURCE: _requests})
    | st.fixed_dictionaries({LENT: _requests}, optional={RESOURCE: _requests}),
    st.fixed_dictionaries({}, optional={"memory": st.sampled_from(("256Mi", "1Gi", "1e9", "12345678"))}),
)


@st.composite
def _pods(draw: st.DrawFn) -> Json:
    made: Json = {"metadata": {"name": "p"}, "spec": {}}
    for where, names in (("containers", ("a", "b")), ("initContainers", ("init",))):
        chosen = draw(st.sampled_from((names[:1], names) if where == "containers" else ((), names)))
        if chosen:
            made["spec"][where] = [{"name": name} for name in chosen]
        for one in made["spec"].get(where, []):
            limits = draw(_limits)
            if limits or draw(st.booleans()):
                one["resources"] = {"limits": limits} if limits else {}
    annotations = draw(_annotations)
    if annotations:
        made["metadata"]["annotations"] = annotations
    made["spec"] |= draw(
        st.sampled_from(({}, {}, {}, {"runtimeClassName": "bede"}, {"runtimeClassName": "runc"}))
    )
    made["metadata"] |= draw(
        st.sampled_from(({}, {}, {}, {"labels": {"x": "y"}}, {"labels": {BOUND: "true"}}))
    )
    return made


def _agree(ours: InputError | None, theirs: RefusedError | None) -> None:
    """Check that both refuse, or none."""
    if ours is not None and theirs is None:
        assert LEFT.match(ours.message), ours.message
    else:
        assert (ours is None) == (theirs is None), f"{ours}, but {theirs}"


def compare(asked: Json) -> None:
    """Check that both make the same pod of the one that was asked for, or none."""
    ours, theirs = None, None
    try:
        expected = applied(asked, admission.create(asked))
    except InputError as error:
        ours = error
    try:
        done = created(asked)
    except RefusedError as error:
        theirs = error
    _agree(ours, theirs)
    if ours is None:
        assert meaning(done) == meaning(expected)


@pytest.mark.parametrize(
    "asked",
    [
        *(pod(container("web", limit="1G"), bede_local=text) for text in (*_GOOD, *_BAD)),
        *(pod(container("web", size)) for size in ("4Mi", "4194303", "4194304", "1.5Gi", "100M")),
        *(
            pod(container("web"), bede_local="1G", **{f"bede_local_{node}": "64M"})
            for node in (0, 9, 1023, 1024)
        ),
    ],
    ids=lambda asked: str(asked["metadata"].get("annotations", asked["spec"]["containers"])),
)
def test_edges_are_where_admission_has_them(asked: Json) -> None:
    compare(asked)


@given(_pods())
def test_any_pod_is_made_or_refused_as_by_admission(asked: Json) -> None:
    compare(asked)


@given(_pods(), _annotations)
def test_any_change_is_made_or_refused_as_by_admission(asked: Json, annotations: dict[str, str]) -> None:
    try:
        before = applied(asked, admission.create(asked))
    except InputError:
        before = asked
    after = copy.deepcopy(before)
    after["metadata"]["annotations"] = before["metadata"].get("annotations", {}) | annotations
    ours, theirs = None, None
    try:
        admission.update(before, after)
    except InputError as error:
        ours = error
    try:
        update(before, after)
    except RefusedError as error:
        theirs = error
    _agree(ours, theirs)
