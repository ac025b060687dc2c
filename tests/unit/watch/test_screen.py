# SPDX-License-Identifier: Apache-2.0
"""The full-screen view as lines, at every size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import MIB, QUIET, row

from ocihook.errors import InputError
from ocihook.watch import bar, order, screen
from ocihook.watch.counters import Pressure
from ocihook.watch.order import Order

BUSY = QUIET._replace(pressure=Pressure(55.2, 1.0, 9, 9), oom_kill=1, high=176)
ROWS = [
    row("web", 128, 125.4, 300.2, demoting=12.3 * MIB, promoting=0.0),
    row("db", 64, 64.6, 1024, demoting=120.0 * MIB, promoting=31.0 * MIB, counters=BUSY),
    row("研究-with-a-very-long-name-indeed", 32, 12, 0.5, overshoot=MIB),
]


def text(rows: list[screen.Row], width: int = 80, height: int = 24, **view: object) -> list[str]:
    found = screen.lines(rows, screen.View(**view), width, height)  # type: ignore[arg-type]
    assert len(found) == height
    assert all(line.cell_len <= width for line in found)
    return [line.plain for line in found]


def test_eighty_columns_have_all_that_counts() -> None:
    lines = text(ROWS)
    for head in ("NAME", "LOCAL", "BOUND", "FAR", "DEMOT/s", "PROMO/s", "WAIT", "EVENTS"):
        assert head in lines[1]
    assert lines[2].split()[0] == "web"  # the most local memory comes first
    words = lines[2].split()
    assert words[words.index("128M") - 1 :][:5] == ["125M", "128M", "300M", "12.3M", "·"]
    assert "▶" in lines[3]
    assert "▶" not in lines[2]
    assert lines[3].split()[-4:] == ["120M", "31M", "55.2", "1x", "176h"][-4:]
    assert lines[0].startswith("bede top  3 containers, local 202M of 224M, far 1.29G  1 over")
    assert lines[-1] == screen.HELP


def test_more_width_has_more_columns_and_longer_bars() -> None:
    assert "%" not in text(ROWS)[1]
    for width, head in ((92, "%"), (100, "OVER"), (118, "LOCAL:FAR"), (126, "HITS"), (136, "STEER/s")):
        assert head in text(ROWS, width)[1]
    assert text(ROWS, 200)[2].count("█") > text(ROWS)[2].count("█")


def test_names_take_the_width_that_there_is() -> None:
    names = [f"shop-frontend-web-{number}" for number in (1, 2, 3)]
    rows = [row("", id=name, cgroup=f"/{name}") for name in names]
    assert {line.split()[0] for line in text(rows, 200)[2:5]} == set(names)
    long = [row(f"{'shop-frontend-' * 4}{number}") for number in (1, 2, 3)]
    assert "shop-frontend-" * 4 + "1" in "\n".join(text(long, 200))
    for width in (60, 80, 100):
        assert len({line.split()[0] for line in text(long, width)[2:5]}) == 3


def test_one_name_of_two_engines_is_two_lines() -> None:
    rows = [row("web", id=letter * 64, cgroup=f"/{letter}") for letter in "ab"]
    assert {" ".join(line.split()[:2]) for line in text(rows, 120)[2:4]} == {
        f"web {'a' * 12}",
        f"web {'b' * 12}",
    }


def test_what_does_not_fit_is_counted_and_scrolled_to() -> None:
    many = [row(f"c{number:03}", 64, number) for number in range(60)]
    lines = text(many, height=12, order=Order("name"))
    shown = [line.split()[0] for line in lines if line.startswith("c0")]
    assert shown == [f"c{number:03}" for number in range(8)]
    assert "and 52 more" in lines[10]
    lines = text(many, height=12, order=Order("name"), first=999)
    assert lines[9].startswith("c059")
    assert "52 above" in lines[10]


@given(st.integers(1, 250), st.integers(1, 80), st.booleans(), st.booleans(), st.text(max_size=90))
def test_every_size(width: int, height: int, help: bool, fancy: bool, note: str) -> None:
    lines = text(ROWS * 4, width, height, help=help, fancy=fancy, note=note, host="host")
    if not fancy:
        assert all(map(str.isascii, lines))
    if height > 12 and width >= 20 and not help:
        assert any(line.startswith("web") for line in lines)


@given(st.integers(0, 1 << 50), st.integers(0, 1 << 50), st.integers(4, 80), st.booleans())
def test_bars_are_as_wide_as_they_should(local: int, bound: int, width: int, fancy: bool) -> None:
    used, room, mark = bar.parts(local, bound, width, fancy)
    assert len(used + room + mark) == width
    assert (mark[1:].strip() != "") == (bound > 0 and local > bound)
    near, away = bar.shares(local, bound, width)
    assert near + away in (0, width)
    assert (near > 0) == (local > 0)
    assert (away > 0) == (bound > 0)


def test_order() -> None:
    names = [one.name for one in Order("demoted").sorted(ROWS)]
    assert names[0] == "db"
    assert names[-1] == ROWS[2].name  # this row has no figures
    assert Order("name").sorted(ROWS)[0].name == "db"
    assert Order("overshoot").sorted(ROWS)[0] is ROWS[2]
    chosen = Order()
    chosen.choose("far")
    assert (chosen.key, chosen.descending) == ("far", True)
    chosen.choose("far")
    assert (chosen.key, chosen.descending) == ("far", False)
    for _ in order.KEYS:
        chosen.step(1)
    assert (chosen.key, chosen.descending) == ("far", True)


def test_sort_keys_by_name_beginning_and_letter() -> None:
    assert order.parse("demoted") == order.parse("d") == order.parse("DEM") == "demoted"
    assert order.parse("w") == "pressure"
    for wrong in ("", "beauty"):
        with pytest.raises(InputError):
            order.parse(wrong)
