# SPDX-License-Identifier: Apache-2.0
"""Every engine's module offers the same: docs/architecture.md, "Where a change goes"."""

import pytest

from ocihook.cli import configure
from ocihook.engines import engine
from ocihook.engines.edits import Plan
from ocihook.engines.engine import Engine
from ocihook.errors import AccessError


@pytest.mark.parametrize("name", engine.NAMES)
def test_each_offers_what_the_command_asks_for(name: str) -> None:
    module = configure.engine_module(name)
    assert isinstance(module.PROGRAM, str)
    assert isinstance(module.FOR_USERS, bool)
    assert isinstance(module.state(), Engine)
    assert isinstance(module.unconfigure(), Plan)
    assert callable(module.configure)


@pytest.mark.parametrize("name", engine.NAMES)
def test_who_may_change_its_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configure.os, "geteuid", lambda: 1000)
    if name == "podman":
        configure.need_root(name)
        return
    with pytest.raises(AccessError, match=name):
        configure.need_root(name)
