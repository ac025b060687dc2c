# SPDX-License-Identifier: Apache-2.0
"""Containers' titles if there is little room, or if two have the same name."""

from hypothesis import given
from hypothesis import strategies as st

from ocihook.control.status import Status
from ocihook.watch import naming

FRONTEND = [f"shop-frontend-web-{number}" for number in (1, 2, 3)]


def one(id: str, name: str = "", cgroup: str = "") -> Status:
    return Status(id, cgroup or f"/{id}", 0, 0, 0, "tier", name=name)


def test_ids_that_were_chosen_are_whole() -> None:
    assert naming.ids([one(id) for id in FRONTEND]) == FRONTEND


def test_generated_ids_are_as_short_as_they_can_be() -> None:
    first, second, third = "ab" * 32, "cd" * 32, "cd" * 16 + "ef" * 16
    assert naming.ids([one(first), one(second)]) == [first[:12], second[:12]]
    assert naming.ids([one(first), one(second), one(third)]) == [first[:12], second, third]


def test_two_runtimes_with_one_id_are_told_apart_by_their_cgroups() -> None:
    assert naming.ids([one("web", cgroup="/a/web"), one("web", cgroup="/b/web"), one("db")]) == [
        "/a/web",
        "/b/web",
        "db",
    ]
    assert naming.titles([one("web", cgroup="/a/web"), one("web", cgroup="/b/web")]) == ["/a/web", "/b/web"]


def test_a_name_that_two_engines_use_has_its_id_behind_it() -> None:
    found = [one("ab" * 32, "web"), one("cd" * 32, "web"), one("ef" * 32, "db"), one("77" * 32)]
    assert naming.titles(found) == [f"web {'ab' * 6}", f"web {'cd' * 6}", "db", "77" * 6]
    # The same if one's id is the other's name.
    assert len(set(naming.titles([one("web"), one("cd" * 32, "web")]))) == 2


def test_what_is_listed_twice_is_still_one() -> None:
    assert naming.titles([one("web"), one("web")]) == ["web", "web"]


def test_a_name_speaks_to_no_terminal() -> None:
    (title,) = naming.titles([one("x", "\x1b[2J\u202e")])
    assert title.isprintable()


def test_names_are_cut_in_the_middle() -> None:
    assert naming.fit(["web", "shop-frontend-production"], 13) == ["web", "shop-f…uction"]
    assert naming.fit(FRONTEND, 19) == FRONTEND
    assert [text[-2:] for text in naming.fit(FRONTEND, 12)] == ["-1", "-2", "-3"]


def test_names_are_cut_where_they_are_alike() -> None:
    alike = [f"shop-{part}-production-eu-west" for part in ("web", "api", "mail")]
    assert naming.fit(alike, 10) == ["shop-w…est", "shop-a…est", "shop-m…est"]
    middle = [f"{'x' * 20}-{part}-{'y' * 20}" for part in "abc"]
    assert [text[3] for text in naming.fit(middle, 12)] == ["a", "b", "c"]


@given(st.lists(st.text(st.sampled_from("ab…1"), min_size=1, max_size=30), max_size=12), st.integers(8, 24))
def test_what_differs_still_does(texts: list[str], width: int) -> None:
    found = naming.fit(texts, width)
    assert all(len(text) <= width for text in found)
    assert all(text == short for text, short in zip(texts, found, strict=True) if len(text) <= width)
    if "…" not in "".join(texts):  # else an uncut text may look like a cut one
        assert len(set(found)) == len(set(texts))


def test_the_widest_column_gives_first() -> None:
    ids, names = ["a" * 40, "b"], ["c" * 16, "d"]
    assert [max(map(len, column)) for column in naming.narrowed([ids, names], 20)] == [20, 16]
    assert [max(map(len, column)) for column in naming.narrowed([ids, names], 99)] == [12, 12]
    assert naming.narrowed([ids, names], 0) == [ids, names]
