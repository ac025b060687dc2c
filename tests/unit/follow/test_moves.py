# SPDX-License-Identifier: Apache-2.0
"""Parsing the tracepoint's text."""

from pathlib import Path

import hosts
import pytest

from ocihook.follow import moves
from ocihook.native import Event

LINE = (
    b"            bash-812     [001] d..1.    81.500001: cgroup_attach_task: dst_root=1 dst_id=77 dst_level=1"
    b" dst_path=/outside pid=830 comm=sleep\n"
)


def test_a_move() -> None:
    assert moves.parse(LINE) == ([Event("move", 830, 0, 81_500_001_000)], False)


def test_nothing() -> None:
    assert moves.parse(b"") == ([], False)


def test_names_that_look_like_more() -> None:
    evil = LINE.replace(b"/outside", b"/a pid=7 comm=x").replace(b"comm=sleep", b"comm=a\n pid=9 b")
    found, lost = moves.parse(evil)
    assert 830 in [event.pid for event in found]
    assert not lost


def test_lost_ones() -> None:
    assert moves.parse(b"CPU:1 [LOST 312 EVENTS]\n" + LINE)[1]


def test_without_the_tracepoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.redirect(monkeypatch, tmp_path)
    with pytest.raises(FileNotFoundError, match="no events/cgroup/cgroup_attach_task"):
        moves.Moves()
