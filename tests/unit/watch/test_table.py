# SPDX-License-Identifier: Apache-2.0
"""The table for people, and JSON and CSV for programs."""

import csv
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import MIB, QUIET, row

from ocihook.cgroup.names import escaped
from ocihook.errors import printable
from ocihook.watch import table
from ocihook.watch.snapshot import rate


@pytest.mark.parametrize(
    ("size", "text"),
    (
        (None, "-"),
        (0, "0"),
        (4096, "4K"),
        (MIB, "1M"),
        (int(31.64 * MIB), "31.6M"),
        (130 * MIB, "130M"),
        (1023 * 1024, "1M"),
        (999 * MIB, "999M"),
        (int(1.25 * 2**40), "1.25T"),
    ),
)
def test_size(size: int | None, text: str) -> None:
    assert table.size(size) == text


@given(st.floats(min_value=0, max_value=2.0**63))
def test_size_fits_and_is_near(size: float) -> None:
    text = table.size(size)
    assert len(text) <= 5
    if size >= 1024:
        value = float(text[:-1]) * 1024.0 ** ("KMGTPE".index(text[-1]) + 1)
        assert abs(value - size) <= 0.06 * size if text[-1] != "K" else abs(value - size) <= 512


def test_events_say_the_worst_first_and_nothing_of_nothing() -> None:
    counts = QUIET._replace(oom_kill=1, stalls=2, high=12345, over=8192)
    assert table.events(counts) == "killed 1, stalls 2, over 8K, high 12k"
    assert table.events(counts, narrow=True) == "1x 2s 8Ko 12kh"
    assert table.events(QUIET) == "-"
    assert table.events(QUIET._replace(high=None)) == "-"


def test_lines_stand_below_each_other() -> None:
    widths: dict[str, int] = {}
    head, *lines = table.lines([row("web"), row("a-longer-name", 2048, 2000.5, 12)], widths)
    for name in ("BOUND", "LOCAL", "FAR"):
        end = head.index(name) + len(name)
        assert all(line[end - 1] != " " and line[end : end + 1] in ("", " ") for line in lines)
    # A table that is printed later has the same columns.
    assert table.lines([row("x")], widths)[0] == head


def test_names_cannot_speak_to_the_terminal() -> None:
    name = "\x1b]0;owned\x07\nname\udcff"
    (line,) = table.lines([row(name, id=name)])[1:]
    assert "\x1b" not in line
    assert "\n" not in line
    line.encode()
    assert printable("plain ñ 研") == "plain ñ 研"
    assert escaped("plain ñ 研") == "plain ñ 研"
    # Escaping keeps different paths different.
    assert table.csv_line(["/a\x01"]) != table.csv_line(["/a\x02"])


def test_json_and_csv_have_the_same() -> None:
    record = table.record(row(demoting=1.6, promoting=None))
    assert tuple(record) == table.CSV
    assert (record["demoted_per_second"], record["promoted_per_second"], record["steered"]) == (2, None, None)
    assert json.loads(json.dumps(record)) == record


@given(st.lists(st.text(), min_size=2))
def test_csv_is_one_line_and_read_back(words: list[str]) -> None:
    line = table.csv_line(words)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert next(csv.reader([line])) == [escaped(word) for word in words]


def test_hits_say_what_is_and_what_could_be() -> None:
    assert table.hits(row().container) == "-"
    assert table.hits(replace(row().container, hits_local=0.836, hits_best=0.87)) == "84/87"
    assert table.hits(replace(row().container, hits_local=0.0, hits_best=1.0)) == "0/100"


def test_rates() -> None:
    assert rate(100, 300, 2.0) == 100
    assert rate(300, 40, 2.0) == 20  # the counter has started again from 0
    assert rate(None, 1, 1.0) is None
    assert rate(1, None, 1.0) is None
    assert rate(1, 2, 0.0) is None


def test_a_narrow_terminal_cuts_names_and_never_two_into_one() -> None:
    rows = [row(f"shop-frontend-web-{number}-production", id=f"shop-{number}-" * 6) for number in (1, 2, 3)]
    whole = table.lines(rows)
    assert all(one.name in line for one, line in zip(rows, whole[1:], strict=True))
    _head, *narrow = table.lines(rows, {}, 110)
    assert all(len(line) <= 110 for line in narrow)
    assert len({line.split()[0] for line in narrow}) == len({line.split()[1] for line in narrow}) == 3
    # The numbers are never cut.
    assert [line.split()[2:] for line in narrow] == [line.split()[2:] for line in whole[1:]]
