# SPDX-License-Identifier: Apache-2.0
"""What is kept of the rows that were measured, and the page that is made of them."""

from dataclasses import replace
from pathlib import Path

import figures
import pytest
import report
import results

ROW = figures.Row(
    kernel="k",
    load="zipf",
    share=4,
    seed=1,
    way="bede",
    local_share=0.8,
    efficiency=0.96,
    speed=0.99,
    mean=0.98,
    deviation=0.001,
    over=-0.01,
    moved=30.0,
    cpu=0.05,
    later=0.01,
    again=None,
    vain=0.02,
    revision="abc",
)
COST = figures.Cost("k", "zipf", 1, "bede", seconds=1.0, cpu=0.001, cost=0.0005, revision="abc")


def test_a_row_is_kept_in_the_place_of_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    results.keep([ROW, replace(ROW, seed=2)], path)
    results.keep([replace(ROW, efficiency=0.5)], path)
    assert results.rows(path) == [replace(ROW, efficiency=0.5), replace(ROW, seed=2)]
    assert [each.name for each in path.parent.iterdir()] == ["rows.jsonl"]


def test_costs_are_kept_as_rows_are(tmp_path: Path) -> None:
    results.keep([COST], tmp_path / "costs.jsonl")
    assert results.costs(tmp_path / "costs.jsonl") == [COST]
    assert results.rows(tmp_path / "nothing.jsonl") == []


def test_seeds_are_one_line_with_the_worst_of_them() -> None:
    other = replace(ROW, seed=2, efficiency=0.90, over=0.03)
    page = report.text([ROW, other], [])
    assert "| k | zipf | 1/4 | 1, 2 | 0.93 (0.90) | - | 99.0% (99.0%) | 98.0% (98.0%) | 1.5% (3.0%) |" in page


def test_a_load_that_ran_in_several_ways_has_a_table_of_them() -> None:
    some = [replace(ROW, way=way) for way in ("far", "polled", "bede, none", "bede")]
    assert "Zipf, 1/4, k" in report.text(some, [])
    assert "Zipf, 1/4, k" not in report.text(some[1:-1], [])


def test_the_page_and_its_pictures_are_those_of_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bench/report.py makes them anew."""
    assert report.PAGE.read_text() == report.text(results.rows(), results.costs())
    monkeypatch.setattr(report, "DOCS", tmp_path)
    kept, page = {path.name for path in report.PAGE.parent.glob("figures-*.svg")}, tmp_path / "figures.md"
    monkeypatch.setattr(report, "PAGE", page)
    report.write()
    assert {path.name for path in tmp_path.glob("figures-*.svg")} == kept
