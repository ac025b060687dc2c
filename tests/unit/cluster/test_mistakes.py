# SPDX-License-Identifier: Apache-2.0
"""Profiles that are of no use are told of: once, then seldom, and no more once they are mended."""

from dataclasses import replace

from ocihook.cluster import profiles
from ocihook.cluster.controller.mistakes import AGAIN, ALONE, REFUSED, UNUSED, Mistakes
from ocihook.cluster.profiles import Profile

RAW = {
    "metadata": {"namespace": "ns", "name": "web", "uid": "u1"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "minimum": "2Gi", "maximum": "1Gi"},
}
WRONG = profiles.parse(RAW)
RIGHT = replace(WRONG, mistake="")


def told(
    mistakes: Mistakes, now: float, *every: Profile, used: tuple[str, ...] = ()
) -> list[tuple[str, str]]:
    return [(reason, text) for _, reason, text in mistakes.news(every, used, now)]


def test_a_profile_that_contradicts_itself() -> None:
    mistakes = Mistakes()
    (found,) = told(mistakes, 0, WRONG)
    assert found == (
        REFUSED,
        "the minimum, 2Gi, is above the maximum, 1Gi: nothing is learned or recommended",
    )
    assert told(mistakes, 1, WRONG) == []
    assert told(mistakes, AGAIN, WRONG) == [found]
    assert told(mistakes, AGAIN + 1, RIGHT) == []
    assert told(mistakes, AGAIN + 2, WRONG) == [found]  # and wrong again


def test_a_profile_for_nobody() -> None:
    mistakes = Mistakes()
    assert told(mistakes, 0, RIGHT) == []  # its pods may come
    assert told(mistakes, ALONE - 1, RIGHT) == []
    assert told(mistakes, ALONE, RIGHT) == [(UNUSED, "no pod with local memory has app=web")]
    assert told(mistakes, ALONE + 1, RIGHT) == []
    assert told(mistakes, ALONE + 2, RIGHT, used=("u1",)) == []
    # Its pods have gone: it has the same time again.
    assert told(mistakes, ALONE + 3, RIGHT) == []
    assert told(mistakes, 2 * ALONE + 2, RIGHT) == []
    assert told(mistakes, 2 * ALONE + 3, RIGHT) == [(UNUSED, "no pod with local memory has app=web")]


def test_what_is_gone_is_forgotten() -> None:
    mistakes = Mistakes()
    told(mistakes, 0, WRONG, replace(RIGHT, uid="u2"))
    assert told(mistakes, 1) == []
    assert len(told(mistakes, 2, WRONG)) == 1  # another one of its name
