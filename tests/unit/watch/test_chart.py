# SPDX-License-Identifier: Apache-2.0
"""The charts, and the pages that contain them."""

import html.parser
import importlib.util
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.errors import InputError, RuntimeMissingError
from ocihook.watch import chart, page, picture
from ocihook.watch.recording import Point, Recording, Series

MIB = 1 << 20
EVIL = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&$x_1$"


def point(seconds: float, local: float = 10, bound: float = 32, demoted: int | None = 0) -> Point:
    return Point(seconds, int(bound * MIB), int(local * MIB), 20 * MIB, demoted, 0, None, 0)


def run(*names: str, points: list[Point] | None = None, file: str = "run.csv") -> Recording:
    given = points or [point(at / 10, demoted=at * MIB) for at in range(100)]
    return Recording(file, 0.0, [Series(name, name, given) for name in names])


def test_thinning_keeps_peaks_and_bounds() -> None:
    points = [point(at, local=99 if at == 4711 else 10, bound=16 if at > 7000 else 32) for at in range(10000)]
    thin = chart.thinned(points, 100)
    assert len(thin) <= 310
    assert max(one.local for one in thin) == 99 * MIB
    assert next(one.seconds for one in thin if one.bound == 16 * MIB) == 7001
    assert (thin[0], thin[-1]) == (points[0], points[-1])
    assert chart.thinned(points[:50], 100) == points[:50]


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=300), st.integers(1, 50))
def test_thinning_keeps_order_and_the_highest(sizes: list[int], most: int) -> None:
    points = [point(at)._replace(local=size) for at, size in enumerate(sizes)]
    thin = chart.thinned(points, most)
    assert thin == sorted(thin, key=lambda one: one.seconds)
    assert max(one.local for one in thin) == max(sizes)


def test_rates_are_averages_between_counters() -> None:
    windows = chart.windows([point(at / 100, demoted=at * MIB) for at in range(1000)], 10.0)
    assert all(one.end - one.begin >= chart.LEAST_WINDOW - 0.001 for one in windows[:-1])
    assert all(one.demoted == pytest.approx(100) for one in windows)
    assert {one.steered for one in windows} == {None}  # this kernel does not count steered pages


def test_a_counter_that_begins_anew_is_no_negative_rate() -> None:
    (window,) = chart.windows([point(0, demoted=100 * MIB), point(2, demoted=4 * MIB)], 2.0)
    assert window.demoted == 2


def test_overshoot_is_of_the_bound_of_its_moment() -> None:
    assert chart.overshoot([point(0, 40), point(1, 33)]) == (8 * MIB, 25.0)
    lowered = [point(0, 30), point(1, 30, bound=16), point(2, 15, bound=16), point(3, 17, bound=16)]
    assert chart.overshoot(lowered)[0] == MIB  # usage from before the bound was lowered is no overshoot
    assert chart.overshoot([point(0, 30), point(1, 30, 16), point(9, 20, 16)])[0] == 4 * MIB


@given(st.floats(0.001, 1e7))
def test_ticks_are_few_and_below_the_top(top: float) -> None:
    for marks in (chart.ticks(top), chart.seconds(top)):
        assert marks[0] == 0
        assert 2 <= len(marks) <= 12
        assert marks[-1] <= top * 1.000001


def test_runs_beside_each_other() -> None:
    both = chart.build([run("web", "db"), run("db", "new")])
    assert [[one.title if one else None for one in line.tracks] for line in both.lines] == [
        ["web", None],
        ["db", "db"],
        [None, "new"],
    ]
    alone = chart.build([run("run-17"), run("run-99")])
    assert [[one and one.title for one in line.tracks] for line in alone.lines] == [["run-17", "run-99"]]


def test_a_name_given_anew_is_another_container() -> None:
    found = run("web")
    found.series.append(Series("other", "web", [point(20)]))
    assert len(chart.build([found, run("web", "x")]).lines) == 3


def test_one_name_of_two_engines_is_drawn_with_their_ids() -> None:
    both = run("db", points=[point(1)])
    both.series += [Series(letter * 64, "web", [point(2)]) for letter in "ab"]
    titles = [line.tracks[0].title for line in chart.build([both]).lines if line.tracks[0]]
    assert titles == ["db", f"web {'a' * 12}", f"web {'b' * 12}"]


def test_choosing() -> None:
    assert len(chart.build([run("web", "db")], ["db"]).lines) == 1
    for recordings, names, says in (
        ([run("web")], ["nobody"], "nobody"),
        ([Recording("x")], [], "nothing was recorded"),
        ([run("web")] * 5, [], "too many"),
        ([run(*map(str, range(30)))], [], "too many"),
    ):
        with pytest.raises(InputError, match=says):
            chart.build(recordings, names)


class Reader(html.parser.HTMLParser):
    """Collects the elements, and attributes that could make a browser fetch anything."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetches: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "line"):
            self.open.append(tag)
        self.fetches += [name for name, _ in attrs if name in ("src", "href", "data", "action", "srcset")]
        self.fetches += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        depth = len(self.open)
        self.handle_starttag(tag, attrs)
        del self.open[depth:]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_needs_nothing_and_obeys_nobody() -> None:
    text = page.page(chart.build([run(EVIL, "web", file=EVIL), run("web")], title=EVIL))
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert reader.fetches == []
    assert reader.tags.count("script") == 2
    assert "img" not in reader.tags
    for word in ("http:", "https:", "//", "url(", "@import", "fetch(", "XMLHttp"):
        assert word not in re.sub(r" // .*", "", text), word  # without the script's comments
    assert "default-src 'none'" in text
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert len(data["cells"]) == 3
    assert data["cells"][0]["b"][0] == 32


def test_page_is_a_picture_without_its_script() -> None:
    text = page.page(chart.build([run("web")]))
    before = text.partition("<script")[0]
    assert before.count("<svg") == 1
    for kind in ("local", "far", "bound", "demoted", "promoted"):
        assert f'<path class="{kind}" d="M' in before
    assert "steered" not in before.partition("<nav>")[2]
    assert "highest local 10.0 MiB, overshoot none, far 20.0 MiB" in before
    assert "prefers-color-scheme: dark" in before


@given(st.text(), st.text(min_size=1))
def test_any_name_is_text(title: str, name: str) -> None:
    text = page.page(chart.build([run(name, points=[point(0), point(1)])], title=title))
    reader = Reader()
    reader.feed(text)
    assert reader.tags.count("script") == 2
    assert reader.fetches == []


def test_png_of_one_and_of_two_runs() -> None:
    pytest.importorskip("matplotlib")
    for recordings in ([run(EVIL, "web")], [run("web"), run("web", "$x^$")]):
        data = picture.png(chart.build(recordings, title="$\\bad$"))
        assert data.startswith(b"\x89PNG")
        assert len(data) > 5000
    assert picture.png(chart.build([run("web", points=[point(0)])])).startswith(b"\x89PNG")


def test_png_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeMissingError) as caught:
        picture.png(chart.build([run("web")]))
    assert ".html" in caught.value.hint
