# SPDX-License-Identifier: Apache-2.0
"""Requests, and lists that are followed through whatever the API server does."""

from typing import Any

import pytest
from fake_apiserver import FakeApiServer, wait_until
from kubernetes import client

from ocihook.cluster import watching
from ocihook.cluster.api import MERGE, Api, RefusedError, _refuse, _unreachable, connect
from ocihook.cluster.watching import Mirror
from ocihook.cluster.work import Work
from ocihook.errors import EXIT_CLUSTER, ClusterError

THINGS = "/apis/x/v1/things"


def size(raw: dict[str, Any]) -> int | None:
    found = raw.get("size")
    return found if isinstance(found, int) else None


def test_a_refusal_says_what_the_server_said(api: Api) -> None:
    with pytest.raises(RefusedError, match=r"the API server refused: no: 404 \(404\)") as caught:
        api.get(f"{THINGS}/a")
    assert (caught.value.status, caught.value.reason, caught.value.exit_code) == (
        404,
        "Because",
        EXIT_CLUSTER,
    )


def test_a_refusal_is_one_line_whatever_others_write() -> None:
    with pytest.raises(RefusedError) as caught:
        _refuse(b'{"message": "denied:\\n  - no\\n"}', 400)
    assert caught.value.message == "the API server refused: denied: - no (400)"
    with pytest.raises(RefusedError) as caught:
        _refuse(b"404 page not found\n", 404)
    assert caught.value.message == "the API server refused: 404 page not found (404)"


def test_nobody_there_is_one_line() -> None:
    settings = client.Configuration()
    settings.host = "http://127.0.0.1:9"
    with pytest.raises(ClusterError, match="cannot be reached") as caught:
        Api(settings).get("/")
    assert "\n" not in caught.value.line("x")


def test_a_failure_is_told_alike_each_time() -> None:
    told = f"{object()!r}: Failed to establish a new connection: [Errno 113] No route to host"
    assert _unreachable(OSError(told)).message == (
        "the API server cannot be reached:"
        " OSError: Failed to establish a new connection: [Errno 113] No route to host"
    )


def test_no_cluster_is_one_line(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ClusterError, match="no cluster is known"):
        connect()
    (tmp_path / "config").write_text("{")
    for name in ("config", "missing"):
        with pytest.raises(ClusterError, match="no cluster is known"):
            connect(str(tmp_path / name))


def test_a_list_has_all_its_pages(fake: FakeApiServer, api: Api) -> None:
    for number in range(5):
        fake.put(f"{THINGS}/{number}", {})
    assert [len(page["items"]) for page in api.pages(THINGS, {})] == [2, 2, 1]


def test_a_mirror_follows(fake: FakeApiServer, api: Api) -> None:
    changes: list[tuple[int | None, int | None]] = []
    fake.put(f"{THINGS}/a", {"size": 1})
    fake.put(f"{THINGS}/b", {"other": 1})
    mirror = Mirror(api, THINGS, size, lambda before, now: changes.append((before, now)))
    mirror.start("test")
    assert mirror.synced.wait(10)
    assert mirror.all() == [1]
    fake.put(f"{THINGS}/b", {"size": 2})
    fake.put(f"{THINGS}/a", {"size": 1, "other": 2})  # nothing that is kept has changed
    fake.put(f"{THINGS}/a", {"size": 3})
    fake.delete(f"{THINGS}/b")
    wait_until("all has come", lambda: (2, None) in changes)
    assert changes == [(None, 1), (None, 2), (1, 3), (2, None)]
    assert (mirror.get("a"), mirror.get("b")) == (3, None)


def test_what_was_missed_is_noticed(fake: FakeApiServer, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_FIRST", 0.01)
    changes: list[tuple[int | None, int | None]] = []
    fake.put(f"{THINGS}/a", {"size": 1})
    fake.put(f"{THINGS}/b", {"size": 2})
    mirror = Mirror(api, THINGS, size, lambda before, now: changes.append((before, now)))
    mirror.start("test")
    assert mirror.synced.wait(10)
    wait_until("it watches", lambda: ("WATCH", THINGS) in fake.asked)
    with fake.changed:
        fake.put(f"{THINGS}/c", {"size": 4})
        fake.delete(f"{THINGS}/a")
        fake.put(f"{THINGS}/b", {"size": 3})
        fake.compact()
    wait_until("it has listed again", lambda: sorted(mirror.all()) == [3, 4])
    assert changes[:2] == [(None, 1), (None, 2)]
    assert sorted(changes[2:], key=str) == [(1, None), (2, 3), (None, 4)]
    fake.put(f"{THINGS}/c", {"size": 5})
    wait_until("it watches again", lambda: mirror.get("c") == 5)


def test_a_change_that_is_refused(fake: FakeApiServer, api: Api) -> None:
    fake.put(f"{THINGS}/a", {"size": 1})
    assert api.send("PATCH", f"{THINGS}/a", {"size": 2}, MERGE)["size"] == 2
    fake.refusals.append(422)
    with pytest.raises(RefusedError) as caught:
        api.send("PATCH", f"{THINGS}/a", {"size": 3}, MERGE)
    assert caught.value.status == 422


def test_work_comes_once_and_in_order() -> None:
    work = Work()
    for name in ("b", "a", "b"):
        work.put(name)
    work.after(0.01, "c")
    assert [work.take() for _ in range(3)] == ["b", "a", "c"]
    work.failed("d")
    assert work.take() == "d"


def test_a_name_has_one_timer_however_often_it_fails() -> None:
    work = Work()
    for _ in range(100):
        work.after(1000.0, "a")
    work.after(0.01, "a")
    assert work.take() == "a"
    assert len(work) == 0
    assert list(work._due) == []


def test_waits_grow_to_a_limit_and_differ() -> None:
    backoff = watching.Backoff(1.0, 8.0)
    waits = [backoff.failed() for _ in range(12)]
    assert 1.0 <= waits[0] <= 2.0
    assert all(4.0 <= wait <= 8.0 for wait in waits[3:])
    assert len(set(waits)) > 6
    backoff.worked()
    assert backoff.failed() <= 2.0
