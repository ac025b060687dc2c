# SPDX-License-Identifier: Apache-2.0
"""Every engine's module offers what the protocol ``Engine`` states; mypy checks the types."""

import inspect

import pytest

from ocihook.cli import configure
from ocihook.engines import engine
from ocihook.engines.edits import Plan
from ocihook.engines.engine import Engine, EngineState
from ocihook.errors import AccessError


@pytest.mark.parametrize("name", engine.NAMES)
def test_each_offers_what_the_protocol_states(name: str) -> None:
    module = engine.named(name)
    functions = {word for word, _ in inspect.getmembers(Engine, inspect.isfunction) if word[0] != "_"}
    assert functions == {"state", "configure", "unconfigure"}
    stated = {*inspect.get_annotations(Engine), *functions}
    assert all(hasattr(module, word) for word in stated)
    assert isinstance(module.PROGRAM, str)
    assert isinstance(module.FOR_USERS, bool)
    assert isinstance(module.state(), EngineState)
    assert isinstance(module.unconfigure(), Plan)


@pytest.mark.parametrize("name", engine.NAMES)
def test_who_may_change_its_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configure.os, "geteuid", lambda: 1000)
    if name == "podman":
        configure.need_root(name)
        return
    with pytest.raises(AccessError, match=name):
        configure.need_root(name)


def test_another_name_is_a_mistake_of_ours() -> None:
    with pytest.raises(LookupError, match="lxc"):
        engine.named("lxc")
