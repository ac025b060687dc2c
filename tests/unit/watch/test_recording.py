# SPDX-License-Identifier: Apache-2.0
"""A recording is read back; for another file the error names the line."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import MIB, QUIET, row

from ocihook.cgroup.names import escaped
from ocihook.errors import InputError
from ocihook.watch import recording

GOOD = "1700000000.5,0.5,web,,1,2,3,4,,,,/x\n"


def parse(*lines: str) -> recording.Recording:
    return recording.parse([recording.HEADER + "\n", *lines], "run.csv")


@given(st.text(), st.text(min_size=1), st.integers(0, 1 << 50))
def test_round_trip(name: str, id: str, demoted: int) -> None:
    shown = row(name, 128, 64, 32, id=id, counters=QUIET._replace(demoted=demoted, promoted=None))
    (one,) = parse(recording.line(shown, 4.0)).series
    assert (one.id, one.name) == (escaped(id), escaped(name))
    assert one.points == [recording.Point(6.0, 128 * MIB, 64 * MIB, 32 * MIB, demoted, None, None, 0)]


def test_several_containers_and_the_start() -> None:
    found = parse(GOOD, GOOD.replace("web", "db"), GOOD.replace("0.5,web,", "2.5,web,named"))
    assert [one.title for one in found.series] == ["named", "db"]
    assert (found.start, found.end) == (1700000000.0, 2.5)
    assert parse().series == []


@pytest.mark.parametrize(
    ("line", "says"),
    (
        ("", "not a line|cut off"),
        ("a,b\n", "not a line"),
        (GOOD.replace("0.5", "nan"), "not a line"),
        (GOOD.replace("0.5", "-1"), "not a line"),
        (GOOD.replace(",1,2,3", ",1,,3"), "not a line"),
        (GOOD.replace(",1,2,3", ",1,2.5,3"), "not a line"),
        (GOOD.replace("\n", ",5\n"), "not a line"),
        (GOOD.replace("web", '"we'), "not a line"),
        (GOOD.rstrip("\n"), "the line is cut off"),
        (GOOD.replace("0.5,web", "0.4,web"), "backwards"),
        ("x" * 100000 + "\n", "not a line"),
    ),
)
def test_bad_lines_are_named(line: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse(GOOD, line)
    assert "run.csv, line 3" in caught.value.message
    assert len(caught.value.line("bede")) < 400


def test_not_a_recording() -> None:
    with pytest.raises(InputError, match="line 1: not a recording"):
        recording.parse(["seconds,local\n"], "x.csv")
    with pytest.raises(InputError, match="empty"):
        recording.parse([], "x.csv")


@given(st.lists(st.text()))
def test_no_file_is_an_odd_error(lines: list[str]) -> None:
    with contextlib.suppress(InputError):
        parse(*lines)
