# SPDX-License-Identifier: Apache-2.0
"""The report: sums from the plugin, differences for people."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocihook.errors import MachineError
from vmlab.model import report

FAR = frozenset({1})


def group(number: int, time: int, user: list[int], kernel: list[int]) -> dict[str, Any]:
    return {
        "id": number,
        "instructions": time,
        "time": time,
        "private_misses": 9,
        "shared_hits": 1,
        "user": user,
        "kernel": kernel,
        "streamed": [0, 0],
    }


def written(path: Path, *marks: tuple[str, list[int], list[dict[str, Any]]]) -> Path:
    lines = [json.dumps({"text": text, "clocks": clocks, "groups": groups}) for text, clocks, groups in marks]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(
        tmp_path / "report",
        ("begin", [10, 20], [group(0, 5, [1, 1], [0, 0])]),
        (
            "middle\nvmstat pgmigrate_success 100\nvmstat pgdemote_kswapd 7\ncgroup /a b 42\n",
            [2 * 10**9, 10**9],
            [group(0, 5, [1, 1], [0, 0]), group(42, 100, [30, 10], [2, 0])],
        ),
        (
            "a program's own",
            [2 * 10**9, 10**9],
            [group(0, 5, [1, 1], [0, 0]), group(42, 100, [30, 10], [2, 0])],
        ),
        (
            "end\nvmstat pgmigrate_success 150\nvmstat pgdemote_kswapd 9\n",
            [3 * 10**9, 5 * 10**9],
            [group(0, 6, [1, 1], [0, 0]), group(42, 300, [60, 40], [2, 2]), group(77, 1, [0, 0], [0, 0])],
        ),
    )


def test_what_happened_between_two_marks(path: Path) -> None:
    begin, middle, own, end = report.intervals(report.read(path))
    assert [each.label for each in (begin, middle, own, end)] == [
        "begin",
        "middle",
        "a program's own",
        "end",
    ]
    assert own.moved(report.MOVED) is None
    assert end.cgroups["/a b"].time == 200
    assert end.cgroups["/a b"].user == (30, 30)
    assert end.cgroups["/a b"].local_share(FAR) == pytest.approx(30 / 62)
    assert end.cgroups[report.WHOLE].time == 202
    assert end.elapsed == 3 * 10**9
    assert end.moved(report.MOVED) == 50
    assert end.moved(report.DEMOTED) == 2


def test_pages_are_counted_from_a_mark_that_counted_them(path: Path) -> None:
    begin, middle, _, end = report.intervals(report.read(path))
    assert begin.moved(report.MOVED) is None
    assert middle.moved(report.MOVED) is None, "no mark before counted"
    assert end.moved(report.PROMOTED) is None, "no line of vmstat says"


def test_a_cgroup_without_a_name_keeps_its_number(path: Path) -> None:
    assert "#77" in report.read(path)[-1].cgroups
    assert report.NAMELESS in report.read(path)[-1].cgroups


def test_as_json_and_for_people(path: Path) -> None:
    marks = report.read(path)
    data = report.whole(marks, "cxl", FAR)
    assert json.loads(json.dumps(data)) == data
    assert data["total"]["cgroups"]["/a b"]["user_misses"] == [60, 40]
    assert data["intervals"][3]["pages"] == {"moved": 50, "demoted": 2, "promoted": None}
    assert "50 pages moved" in report.intervals(marks)[3].line(FAR)
    assert report.whole([], "cxl", FAR)["total"] is None


def test_without_a_mark_there_is_nothing(tmp_path: Path) -> None:
    assert report.read(tmp_path / "none") == []


@pytest.mark.parametrize("text", ("{", "{}", '{"text": 1}', '{"text": "a\\nvmstat x y", "clocks": []}'))
def test_nonsense_is_the_machines_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "report").write_text(text + "\n")
    with pytest.raises(MachineError):
        report.read(tmp_path / "report")
