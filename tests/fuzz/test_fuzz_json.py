# SPDX-License-Identifier: Apache-2.0
"""JSON from a runtime or a user gives the same value as the json module, or an InputError."""

import contextlib
import copy
import json
from typing import Any

import pytest
import seeds
from hypothesis import given
from hypothesis import strategies as st
from mutate import mutated

from ocihook.errors import InputError
from ocihook.spec import bundle, fastjson, size
from ocihook.spec import state as oci

HOOK = "/usr/bin/bede-hook"
LIMITS = {0: 64 << 20, 1: 1 << 20}


def _json(data: bytes) -> Any:
    """The json module's value of *data*; "refused" if it has none."""
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return "refused"


def check_json(data: bytes) -> None:
    try:
        found = fastjson.loads(data)
    except InputError:
        found = "refused"
    # Compare their texts, since NaN is not equal to itself.
    assert repr(found) == repr(_json(data))


def check_state(data: bytes) -> None:
    check_json(data)
    with contextlib.suppress(InputError):
        found = oci.parse(data)
        assert found.bundle.startswith("/")
        assert found.id == oci.check_id(found.id)
        assert found.pid >= 0


def check_bundle(data: bytes) -> None:
    check_json(data)
    try:
        config = fastjson.loads(data)
        policy = bundle.policy_of(config)
    except InputError:
        return
    if policy is None:
        return
    with contextlib.suppress(InputError):
        bundle.cpuset(config)
    with contextlib.suppress(InputError):
        policy.resolve(bundle.memory_limit(config))
    check_edits(config)


def check_edits(config: dict[str, Any]) -> None:
    """A second edit changes nothing, and the edit for one kernel undoes that for the other."""
    with contextlib.suppress(InputError):
        bundle.edit_limits(config, {})  # remove what an earlier edit has left
    for fence in (True, False):
        fenced, limited = copy.deepcopy(config), copy.deepcopy(config)
        try:
            bundle.edit(fenced, HOOK, fence)
            bundle.edit_limits(limited, LIMITS)
        except InputError:
            continue
        once = copy.deepcopy(fenced)
        assert not bundle.edit(fenced, HOOK, fence)
        assert fenced == once
        assert not bundle.edit_limits(limited, LIMITS)
        bundle.edit_limits(fenced, LIMITS)
        assert bare(fenced) == bare(limited)
        bundle.edit(limited, HOOK, fence)
        assert bare(limited) == bare(once)
        json.loads(fastjson.dumps(once))


def bare(value: Any) -> Any:
    """*value* without what has no effect: empty values and a memory.high of "max"; memory.high in bytes."""
    if not isinstance(value, dict):
        return value
    found = {name: bare(inner) for name, inner in value.items()}
    high = found.get("memory.high")
    if isinstance(high, str):
        with contextlib.suppress(InputError):
            found["memory.high"] = None if high == "max" else str(size.parse(high))
    return {name: inner for name, inner in found.items() if inner not in (None, {}, [])}


@pytest.mark.parametrize("path", seeds.files("state"), ids=lambda path: path.name)
def test_state_of_the_corpus(path: Any) -> None:
    check_state(path.read_bytes())


@seeds.FUZZ
@given(mutated("state"))
def test_state(data: bytes) -> None:
    check_state(data)


@pytest.mark.parametrize("path", seeds.files("bundle"), ids=lambda path: path.name)
def test_bundle_of_the_corpus(path: Any) -> None:
    check_bundle(path.read_bytes())


@seeds.FUZZ
@given(mutated("bundle"))
def test_bundle(data: bytes) -> None:
    check_bundle(data)


_ODD = st.sampled_from([None, True, -1, 0, 1 << 64, 0.5, "", "max", "4M", "1G", "é", "\0", [], {}, [{}]])
_SIZES = st.sampled_from(["4M", "128M", "1.5G", "25%", "100 %", "0", "max", "-1", "", "8E", "N0=1 N1=max"])
_HOOK = st.fixed_dictionaries(
    {},
    optional={
        "path": st.sampled_from([HOOK, "bede-hook", "/usr/bin/other"]) | _ODD,
        "args": st.lists(
            st.sampled_from(["bede-hook", "createRuntime", "--user-high", "max", "64M"]) | _ODD, max_size=4
        )
        | _ODD,
        "timeout": st.just(30) | _ODD,
        "env": st.just([bundle.MARK]) | _ODD,
    },
)
_WRITTEN = st.sampled_from([[], ["--user-high", "max"], ["--user-high", "64M"], ["--user-high", "-1"]]).map(
    lambda more: {"path": HOOK, "args": ["bede-hook", "createRuntime", *more], "env": [bundle.MARK]}
)
_HOOKS = st.dictionaries(
    st.sampled_from([*bundle.STAGES, "prestart", "createContainer"]),
    st.lists(_HOOK | _WRITTEN | _ODD, max_size=2) | _ODD,
    max_size=3,
)
_UNIFIED = st.dictionaries(
    st.sampled_from(["memory.high", "memory.node_limit", "pids.max"]), _SIZES | _ODD, max_size=3
)
_RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "unified": _UNIFIED | _ODD,
        "memory": st.fixed_dictionaries({}, optional={"limit": st.integers(-2, 1 << 40) | _ODD}) | _ODD,
        "cpu": st.fixed_dictionaries({}, optional={"mems": st.just("0-1") | _ODD}) | _ODD,
    },
)
_ANNOTATIONS = st.fixed_dictionaries(
    {"bede.local": st.sampled_from(["4M", "128M", "25%"]) | _SIZES},
    optional={
        "bede.local.0": _SIZES,
        "bede.local/web": _SIZES,
        "bede.dev/x": _ODD,
        "io.kubernetes.cri.container-type": st.sampled_from(["sandbox", "container"]) | _ODD,
        "io.kubernetes.cri.container-name": st.sampled_from(["web", "db"]) | _ODD,
        "bede-user-node-limit": _SIZES,
        "other": st.just("x") | _ODD,
    },
)
_CONFIGS = st.fixed_dictionaries(
    {"annotations": _ANNOTATIONS},
    optional={
        "hooks": _HOOKS | _ODD,
        "linux": st.fixed_dictionaries({}, optional={"resources": _RESOURCES | _ODD}) | _ODD,
    },
)


@seeds.FUZZ
@given(_CONFIGS)
def test_edits_of_any_bundle(config: dict[str, Any]) -> None:
    check_bundle(json.dumps(config).encode())
