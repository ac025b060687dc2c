# SPDX-License-Identifier: Apache-2.0
"""The live view fits its terminal; in a log it is plain lines."""

import io

import pytest

from vmlab.demo import view
from vmlab.demo.series import MIB, Sample


def state(local: float = 100, far: float = 200) -> view.State:
    made = view.State("Redis in podman, bede.local=128M", 128 * MIB, 400 * MIB, "loading")
    made.add(Sample(12.5, int(local * MIB), int(far * MIB), 0, 0, 0))
    return made


@pytest.mark.parametrize("size", [0, 1, 50, 99.9, 100, 250])
@pytest.mark.parametrize("mark", [None, 0, 30, 100])
@pytest.mark.parametrize("fancy", [True, False])
def test_a_bar_has_exactly_its_width(size: float, mark: int | None, fancy: bool) -> None:
    assert len(view.bar(int(size * 10), 1000, 37, None if mark is None else mark * 10, fancy)) == 37


def test_a_bar_is_as_long_as_its_share_and_shows_the_bound() -> None:
    assert view.bar(25, 100, 8, 50, fancy=False) == "##  |   "
    assert view.bar(100, 100, 4, 50, fancy=False) == "####"
    assert view.bar(5, 0, 4) == "    "
    assert view.bar(3, 16, 2) == "▍ "  # 3/16 of 16 eighths


@pytest.mark.parametrize("width", [1, 10, 26, 27, 40, 60, 79, 200])
def test_no_line_of_the_block_is_wider_than_the_terminal(width: int) -> None:
    assert all(len(line) <= width for line in view.block(state(), width))


def test_the_block_has_the_numbers() -> None:
    text = "\n".join(view.block(state(130, 200), 79))
    for part in ("loading", "12.5 s", "130.0 MiB", "200.0 MiB", "bound 128 MiB", "overshoot 1.56 %"):
        assert part in text


def test_an_ascii_terminal_gets_ascii() -> None:
    assert "\n".join(view.block(state(), 79, fancy=False)).isascii()


def test_colours_do_not_change_the_text() -> None:
    coloured = "\n".join(view.block(state(130), 79, colour=True))
    for code in (view.LOCAL, view.FAR, view.BOUND, view.BAD, view.PLAIN):
        coloured = coloured.replace(code, "")
    assert coloured.split("\n") == view.block(state(130), 79)


def test_without_a_terminal_there_is_one_plain_line_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("vmlab.demo.view.time.monotonic", lambda: now)
    out = io.StringIO()
    shown = view.View(out, state(), lambda: 80, terminal=False, colour=False)
    for _ in range(31):
        shown.show()
        now += 0.1
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert "\033" not in out.getvalue()
    assert "local  100.0 MiB  far  200.0 MiB  bound 128 MiB  overshoot none" in lines[0]


def test_on_a_terminal_the_block_is_drawn_over() -> None:
    out = io.StringIO()
    shown = view.View(out, state(), lambda: 80, terminal=True, colour=False)
    shown.show(now=True)
    assert "\033[5A" not in out.getvalue()
    shown.show(now=True)
    assert out.getvalue().count("\033[5A") == 1
