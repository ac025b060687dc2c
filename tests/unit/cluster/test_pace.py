# SPDX-License-Identifier: Apache-2.0
"""What can wait is spread over time, and nothing of it is lost."""

from dataclasses import dataclass, field

import pytest
from fake_apiserver import FakeApiServer
from hypothesis import given
from hypothesis import strategies as st

from ocihook.cluster.api import Api
from ocihook.cluster.controller import outbox
from ocihook.cluster.controller.outbox import Outbox
from ocihook.cluster.controller.pace import BURST, RATE, Pace
from ocihook.cluster.fields import Json

EVENTS = "/api/v1/namespaces/ns/events"


@dataclass
class Clock:
    """A clock that goes on when somebody sleeps."""

    at: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 300)), min_size=1, max_size=20))
def test_no_more_turns_than_a_burst_and_so_many_a_second(asked: list[tuple[float, int]]) -> None:
    clock = Clock()
    pace = Pace(clock)
    turns: list[float] = []
    number = 0
    for pause, count in asked:
        clock.at += pause
        for _ in range(count):
            number += 1
            turns.append(clock.at + pace.wait(str(number)))
    assert turns == sorted(turns)
    for first in range(0, len(turns), 37):
        for last in range(first, len(turns), 41):
            assert last - first <= BURST + RATE * (turns[last] - turns[first]) + 1e-3


def test_a_turn_is_kept_until_it_is_used() -> None:
    clock = Clock()
    pace = Pace(clock)
    for number in range(int(BURST)):
        assert pace.wait(str(number)) == 0
    first = pace.wait("late")
    assert first == pytest.approx(1 / RATE)
    assert pace.wait("later") == pytest.approx(2 / RATE)
    clock.at += first / 2
    assert pace.wait("late") == pytest.approx(first / 2)
    clock.at += first
    assert pace.wait("late") == 0
    assert len(pace) == 1
    pace.keep(())
    assert len(pace) == 0


def event(name: str, kind: str = "Normal") -> Json:
    return {"kind": "Event", "metadata": {"name": name, "namespace": "ns"}, "type": kind}


def names(fake: FakeApiServer) -> list[str]:
    return [one["metadata"]["name"] for one in fake.listed(EVENTS)]


def test_warnings_are_sent_first(fake: FakeApiServer, api: Api) -> None:
    box = Outbox(api, sleep=Clock().sleep)
    for made in (event("a"), event("b"), event("c", "Warning")):
        box.put(made)
    for expected in (["c"], ["a", "c"], ["a", "b", "c"]):
        box.send_one()
        assert sorted(names(fake)) == expected
    assert len(box) == 0


def test_an_event_is_sent_until_it_is_taken(
    fake: FakeApiServer, api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    box = Outbox(api, Pace(clock), clock.sleep)
    fake.refusals += [500, 500, 503]
    box.put(event("a"))
    box.send_one()
    assert names(fake) == ["a"]
    assert len(clock.slept) == 3
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 2  # the same reason twice is told once
    assert told[0].startswith("bede-controller: event on a: the API server refused: no: 500")


def test_the_oldest_are_dropped_where_too_many_wait(
    fake: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST", 3)
    clock = Clock()
    box = Outbox(api, Pace(clock), clock.sleep)
    for number in range(5):
        box.put(event(f"e{number}"))
    while len(box):
        box.send_one()
    assert sorted(names(fake)) == ["e2", "e3", "e4"]


def test_events_wait_for_their_turn(fake: FakeApiServer, api: Api) -> None:
    clock = Clock()
    box = Outbox(api, Pace(clock), clock.sleep)
    for number in range(int(BURST) + 20):
        box.put(event(f"e{number}"))
    began = clock.at
    while len(box):
        box.send_one()
    assert len(names(fake)) == BURST + 20
    assert clock.at - began == pytest.approx(20 / RATE)
