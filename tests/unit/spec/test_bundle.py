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
        assert mine == {"path": HOOK, "args": ["bede-hook", stage], "timeout": bundle.TIMEOUT}
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
    # A fence that no --user-high tells of would be taken for the user's own.
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


def test_a_config_that_is_no_object_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        bundle.policy_of([])
