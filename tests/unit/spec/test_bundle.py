# SPDX-License-Identifier: Apache-2.0
import copy
from typing import Any

import pytest

from ocihook.errors import InputError
from ocihook.spec import bundle

HOOK = "/usr/bin/bede-hook"
M = 1 << 20


def _config(**changes: Any) -> dict[str, Any]:
    return {"ociVersion": "1.0.2", "annotations": {"bede.local": "128M"}, **changes}


def _high(value: str) -> dict[str, Any]:
    return {"resources": {"unified": {"memory.high": value, "pids.max": "7"}, "cpu": {"shares": 2}}}


def test_a_container_without_annotation_is_left_alone() -> None:
    config = _config(annotations={"other": "x"})
    before = copy.deepcopy(config)
    assert not bundle.edit(config, HOOK, fence=True)
    assert config == before


def test_hooks_are_appended_to_those_of_others() -> None:
    theirs = {"path": "/usr/bin/nvidia-hook", "args": ["x"]}
    config = _config(hooks={"createRuntime": [theirs], "poststop": [theirs], "createContainer": [theirs]})
    assert bundle.edit(config, HOOK, fence=False)
    assert config["hooks"]["createContainer"] == [theirs]
    for stage in ("createRuntime", "poststart", "poststop"):
        mine = config["hooks"][stage][-1]
        assert mine == {"path": HOOK, "args": ["bede-hook", stage], "env": [bundle.MARK]}
    assert config["hooks"]["createRuntime"][0] == theirs
    assert config["hooks"]["poststop"][0] == theirs
    assert "linux" not in config


@pytest.mark.parametrize("fence", [True, False])
@pytest.mark.parametrize("linux", [None, {}, _high("1G"), _high("64M")])
def test_to_edit_twice_is_to_edit_once(fence: bool, linux: dict[str, Any] | None) -> None:
    config = _config(linux=copy.deepcopy(linux))
    assert bundle.edit(config, HOOK, fence=fence)
    once = copy.deepcopy(config)
    assert not bundle.edit(config, HOOK, fence=fence)
    assert config == once


@pytest.mark.parametrize("path", ["/elsewhere/bede-hook", "bede-hook"])
def test_prestart_is_createRuntime_under_its_old_name(path: str) -> None:
    config = _config(hooks={"prestart": [{"path": path, "args": ["bede-hook", "prestart"]}]})
    assert bundle.edit(config, HOOK, fence=True)
    assert "createRuntime" not in config["hooks"]
    assert len(config["hooks"]["prestart"]) == 1
    assert [len(config["hooks"][stage]) for stage in ("poststart", "poststop")] == [1, 1]
    # No fence: without --user-high the hook would take it for the user's own limit.
    assert "linux" not in config


@pytest.mark.parametrize(
    ("given", "expected", "arguments"),
    [
        (None, str(128 * M), ["--user-high", "max"]),
        ("max", str(128 * M), ["--user-high", "max"]),
        ("1G", str(128 * M), ["--user-high", str(1024 * M)]),
        ("67108864", "67108864", []),
        (str(128 * M), str(128 * M), []),
        ("only the kernel knows", "only the kernel knows", []),
    ],
)
def test_the_users_memory_high_keeps_its_meaning(
    given: str | None, expected: str, arguments: list[str]
) -> None:
    config = _config(linux=_high(given)) if given else _config(linux=None)
    assert bundle.edit(config, HOOK, fence=True)
    assert config["linux"]["resources"]["unified"]["memory.high"] == expected
    assert config["hooks"]["createRuntime"][0]["args"][2:] == arguments
    if given:
        assert config["linux"]["resources"]["unified"]["pids.max"] == "7"
        assert config["linux"]["resources"]["cpu"] == {"shares": 2}


def test_a_changed_annotation_moves_our_fence_but_not_past_the_users() -> None:
    config = _config(linux=_high("200M"))
    bundle.edit(config, HOOK, fence=True)
    config["annotations"]["bede.local"] = "1G"
    assert bundle.edit(config, HOOK, fence=True)
    assert config["linux"]["resources"]["unified"]["memory.high"] == str(200 * M)
    config["annotations"]["bede.local"] = "16M"
    assert bundle.edit(config, HOOK, fence=True)
    assert config["linux"]["resources"]["unified"]["memory.high"] == str(16 * M)


def test_a_hook_by_hand_moves_no_fence_that_would_stay_on_a_patched_kernel() -> None:
    by_hand = {"path": HOOK, "args": ["bede-hook", "createRuntime", "--user-high", "max"]}
    config = _config(linux=_high("1G"), hooks={"createRuntime": [by_hand]})
    assert bundle.edit(config, HOOK, fence=True)
    assert config["linux"] == _high("1G")
    assert bundle.edit_limits(config, {})
    assert config == _config(linux=_high("1G"), hooks={"createRuntime": [by_hand]})


def test_a_percentage_is_of_the_limit_in_the_bundle() -> None:
    config = _config(annotations={"bede.local": "25%"}, linux={"resources": {"memory": {"limit": 512 * M}}})
    assert bundle.edit(config, HOOK, fence=True)
    assert config["linux"]["resources"]["unified"]["memory.high"] == str(128 * M)


@pytest.mark.parametrize("limit", [None, -1, 0])
def test_a_percentage_of_no_limit_is_refused(limit: int | None) -> None:
    config = _config(annotations={"bede.local": "25%"}, linux={"resources": {"memory": {"limit": limit}}})
    with pytest.raises(InputError, match="there is none"):
        bundle.edit(config, HOOK, fence=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": []},
        {"annotations": {"bede.local": 1}},
        {"annotations": {"bede.typo": "1G"}},
        {"hooks": []},
        {"hooks": {"createRuntime": {}}},
        {"linux": []},
        {"linux": {"resources": "x"}},
        {"linux": {"resources": {"memory": {"limit": "1G"}}}},
        {"linux": {"resources": {"unified": 1}}},
    ],
)
def test_what_the_spec_does_not_allow_is_an_input_error(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        bundle.edit(_config(**changes), HOOK, fence=True)


def _limit(value: object) -> dict[str, Any]:
    return {"resources": {"unified": {"memory.node_limit": value, "pids.max": "7"}}}


def test_limits_need_neither_hooks_nor_a_fence() -> None:
    config = _config()
    assert bundle.edit_limits(config, {0: 64 * M, 1: 32 * M})
    unified = config["linux"]["resources"]["unified"]
    assert unified == {"memory.node_limit": f"N0={64 * M} N1={32 * M}"}
    assert "hooks" not in config
    once = copy.deepcopy(config)
    assert not bundle.edit_limits(config, {0: 64 * M, 1: 32 * M})
    assert config == once


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("N0=1G", f"N0={128 * M}"),
        ("N0=64M N1=2G N2=max", f"N0={64 * M} N1={2048 * M} N2=max"),
        ("N0=max", f"N0={128 * M}"),
    ],
)
def test_the_users_limits_keep_their_meaning(given: str, expected: str) -> None:
    config = _config(linux=_limit(given))
    before = copy.deepcopy(config)
    assert bundle.edit_limits(config, {0: 128 * M})
    unified = config["linux"]["resources"]["unified"]
    assert unified == {"memory.node_limit": expected, "pids.max": "7"}
    assert not bundle.edit_limits(config, {0: 128 * M})
    # A new bound is compared with the user's limit, not with the bound before it.
    bundle.edit_limits(config, {0: 16 * M})
    bundle.edit_limits(config, {0: 128 * M})
    assert unified["memory.node_limit"] == expected
    assert bundle.edit_limits(config, {})
    assert config == before


@pytest.mark.parametrize("high", [None, "max", "1G", "64M"])
@pytest.mark.parametrize("limit", [None, "N0=1G"])
@pytest.mark.parametrize("fence", [True, False])
def test_the_edit_for_one_kernel_takes_back_that_for_the_other(
    high: str | None, limit: str | None, fence: bool
) -> None:
    theirs = {"path": "/usr/bin/nvidia-hook", "args": ["x"]}
    unified = {"pids.max": "7"}
    unified |= {"memory.high": high} if high else {}
    unified |= {"memory.node_limit": limit} if limit else {}
    given = _config(linux={"resources": {"unified": unified}}, hooks={"poststop": [theirs]})
    limited, hooked = copy.deepcopy(given), copy.deepcopy(given)
    bundle.edit_limits(limited, {0: 128 * M})
    bundle.edit(hooked, HOOK, fence=fence)
    assert limited["hooks"] == {"poststop": [theirs]}
    back = copy.deepcopy(limited)
    assert bundle.edit(back, HOOK, fence=fence)
    assert back == hooked
    assert bundle.edit_limits(back, {0: 128 * M})
    now = back["linux"]["resources"]["unified"]
    assert now.get("memory.high") == (None if fence and high == "max" else _bytes(high) if fence else high)
    now.pop("memory.high", None)
    limited["linux"]["resources"]["unified"].pop("memory.high", None)
    assert back == limited


def _bytes(high: str | None) -> str | None:
    """memory.high as an edit hands it on: in bytes if it is larger than the bound, else unchanged."""
    return str(1024 * M) if high == "1G" else high


def test_hooks_that_no_edit_wrote_stay() -> None:
    theirs: list[Any] = [
        {"path": HOOK, "args": ["bede-hook", "createRuntime"]},
        {"path": HOOK, "args": ["bede-hook", "createRuntime"], "timeout": 30, "env": [bundle.MARK]},
        {"path": HOOK, "args": ["bede-hook", "createRuntime"], "env": ["BEDE_DEBUG=1"]},
        {"path": HOOK, "args": ["bede-hook", "poststop"], "timeout": 30},
        {"path": HOOK, "args": ["bede-hook", "createRuntime", "--user-high"], "timeout": 30},
        {"path": "/usr/bin/other", "args": ["bede-hook", "createRuntime"], "timeout": 30},
        {"path": HOOK, "args": "x", "timeout": 30},
        7,
    ]
    config = _config(hooks={"createRuntime": copy.deepcopy(theirs)})
    bundle.edit_limits(config, {0: 128 * M})
    assert config["hooks"] == {"createRuntime": theirs}


@pytest.mark.parametrize("stage", [*bundle.STAGES, "prestart"])
def test_hooks_as_an_edit_writes_them_go(stage: str) -> None:
    for rest in ({"env": [bundle.MARK]}, {"timeout": 9}):
        config = _config(hooks={stage: [{"path": "/old/bede-hook", "args": ["bede-hook", stage], **rest}]})
        bundle.edit_limits(config, {0: 128 * M})
        assert "hooks" not in config


@pytest.mark.parametrize(
    "changes",
    [
        {"linux": _limit(7)},
        {"linux": _limit("N0=some")},
        {"linux": _limit("128M")},
        {"linux": {"resources": {"unified": []}}},
        {"hooks": {"poststop": {}}},
    ],
)
def test_what_cannot_be_compared_is_an_input_error(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        bundle.edit_limits(_config(**changes), {0: 128 * M})


@pytest.mark.parametrize(
    ("linux", "mems"),
    [(None, ""), ({"resources": {"cpu": {"shares": 2}}}, ""), ({"resources": {"cpu": {"mems": "0"}}}, "0")],
)
def test_the_cpuset_of_a_bundle(linux: object, mems: str) -> None:
    assert bundle.cpuset(_config(linux=linux)) == mems


def test_a_cpuset_that_is_no_string_is_an_input_error() -> None:
    with pytest.raises(InputError, match="mems"):
        bundle.cpuset(_config(linux={"resources": {"cpu": {"mems": 0}}}))


def test_a_config_that_is_no_object_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        bundle.policy_of([])


def test_processors_come_with_the_limits_and_go_with_them() -> None:
    config: dict[str, Any] = {"annotations": {"bede.local": "128M"}}
    assert bundle.edit_limits(config, {0: 128 * M}, "0-3")
    assert config["linux"]["resources"]["cpu"] == {"cpus": "0-3"}
    assert not bundle.edit_limits(config, {0: 128 * M}, "0-3")
    # The host has another set of CPUs by now.
    assert bundle.edit_limits(config, {0: 128 * M}, "0-1")
    assert config["linux"]["resources"]["cpu"] == {"cpus": "0-1"}
    assert bundle.edit_limits(config, {})
    assert config["annotations"] == {"bede.local": "128M"}
    assert config["linux"]["resources"]["cpu"] == {}


def test_processors_that_its_user_has_chosen_stay() -> None:
    cpu = {"cpus": "5", "shares": 7}
    config: dict[str, Any] = {
        "annotations": {"bede.local": "128M"},
        "linux": {"resources": {"cpu": dict(cpu)}},
    }
    bundle.edit_limits(config, {0: 128 * M}, "0-3")
    assert config["linux"]["resources"]["cpu"] == cpu
    bundle.edit_limits(config, {}, "")
    assert config["linux"]["resources"]["cpu"] == cpu
