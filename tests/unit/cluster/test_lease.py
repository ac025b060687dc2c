# SPDX-License-Identifier: Apache-2.0
"""One of two controllers acts at a time."""

import threading

import pytest
from fake_apiserver import FakeApiServer

from ocihook.cluster import lease
from ocihook.cluster.api import Api
from ocihook.cluster.lease import Lease, Where
from ocihook.errors import ClusterError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def where(holder: str) -> Where:
    return Where("bede-system", "bede-controller", holder)


def test_the_first_one_has_it_until_it_is_silent(fake: FakeApiServer, api: Api) -> None:
    clock = Clock()
    a, b = (Lease(api, where(name), clock) for name in "ab")
    assert a.attempt()
    assert not b.attempt()
    for _ in range(5):
        clock.now += lease.LASTS - 1
        assert a.attempt()
        assert not b.attempt()
    clock.now += lease.LASTS
    assert b.attempt()
    assert not a.attempt()
    (object,) = fake.listed(where("a").list)
    assert object["spec"]["holderIdentity"] == "b"
    assert object["spec"]["leaseTransitions"] == 2


def test_of_two_at_the_same_moment_one_wins(fake: FakeApiServer, api: Api) -> None:
    clock = Clock()
    a, b = (Lease(api, where(name), clock) for name in "ab")
    assert a.attempt()
    b.attempt()
    clock.now += lease.LASTS
    fake.refusals.append(409)
    assert not b.attempt()


def test_who_cannot_renew_it_stops_before_another_begins(
    fake: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lease.GIVEN_UP + lease.RETRIED < lease.LASTS
    for name, seconds in (("RENEWED", 0.02), ("RETRIED", 0.01), ("GIVEN_UP", 0.2)):
        monkeypatch.setattr(lease, name, seconds)
    lost = threading.Event()
    held = Lease(api, where("a"))
    held.wait(lambda error: None)
    held.keep(lost.set)
    assert not lost.wait(0.5)
    fake.refusals += [500] * 100_000
    assert lost.wait(10)


def test_a_request_that_hangs_does_not_hide_that_it_is_lost(
    fake: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("RENEWED", 0.02), ("RETRIED", 0.01), ("GIVEN_UP", 0.3)):
        monkeypatch.setattr(lease, name, seconds)
    lost = threading.Event()
    held = Lease(api, where("a"))
    held.wait(lambda error: None)
    hangs = threading.Event()
    monkeypatch.setattr(held, "attempt", lambda: hangs.wait(30))
    held.keep(lost.set)
    assert lost.wait(5)
    hangs.set()


def test_who_ends_gives_it_back(fake: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWED", 0.02)
    lost = threading.Event()
    a, b = (Lease(api, where(name)) for name in "ab")
    a.release()  # nobody holds it yet
    assert a.attempt()
    a.keep(lost.set)
    assert not b.attempt()
    a.release()
    assert b.attempt()
    a.release()
    assert not a.attempt()
    assert not lost.wait(0.2)
    (object,) = fake.listed(where("a").list)
    assert object["spec"]["holderIdentity"] == "b"


def test_who_was_stopped_for_a_while_knows_that_it_may_not_act(fake: FakeApiServer, api: Api) -> None:
    clock = Clock()
    held = Lease(api, where("a"), clock)
    assert not held.holds()
    assert held.attempt()
    clock.now += lease.GIVEN_UP - 1
    assert held.holds()
    clock.now += 1
    assert not held.holds()


def test_errors_are_told_while_it_waits(
    fake: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RETRIED", 0.01)
    fake.refusals += [500, 500]
    errors: list[ClusterError] = []
    Lease(api, where("a")).wait(errors.append)
    assert len(errors) == 2
