# SPDX-License-Identifier: Apache-2.0
"""The metrics for Prometheus: their names, and where they are served."""

import re
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from ocihook.control.status import from_json
from ocihook.errors import AccessError, AgentError, InputError
from ocihook.metrics import collect, serve
from ocihook.watch import counters
from ocihook.watch.counters import Counters, Pressure

ONE: dict[str, Any] = {
    "id": "4f" * 32,
    "name": 'we"b\n',
    "cgroup": "/x",
    "backend": "tier",
    "runtime": "crun",
    "bound": 1 << 30,
    "local": 5,
    "far": 6,
    "overshoot": 0,
    "stalled": False,
    "outside": {"returned": 3, "failed": 0, "seconds": 0.1, "bytes": 1},
}
COUNTED = Counters(demoted=4096, pressure=Pressure(0.0, 0.0, 2_500_000, 1), high=7)


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect.containers, "listing", lambda: [from_json(ONE)])
    monkeypatch.setattr(counters, "read", lambda one: COUNTED)


def text() -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collect.Collector())
    return generate_latest(registry).decode()


def lines_of(container: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is told of one container, without labels."""
    monkeypatch.setattr(collect.containers, "listing", lambda: [from_json(container)])
    return [re.sub(r"\{.*\}", "", line) for line in text().splitlines()]


def test_names_have_units_and_counters_end_in_total(one: None) -> None:
    told = text()
    labels = f'{{cgroup="/x",container="{ONE["id"]}",name="we\\"b\\n"}}'
    for line in (
        f"bede_container_bound_bytes{labels} 1.073741824e+09",
        f"bede_container_demoted_bytes_total{labels} 4096.0",
        f"bede_container_pressure_waiting_seconds_total{labels} 2.5",
        f"bede_container_memory_high_events_total{labels} 7.0",
        f"bede_container_returned_processes_total{labels} 3.0",
        "bede_up 1.0",
        "bede_containers 1.0",
    ):
        assert line in told.splitlines()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", told, re.MULTILINE):
        assert name.startswith("bede_")
        assert name.endswith("_total") == (kind == "counter")
        assert re.search(rf"^# HELP {name} [A-Z0-9].*\.$", told, re.MULTILINE)


def test_what_the_mover_does_is_told_where_there_is_one(one: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "own_bytes" not in text()
    assert "mover" not in text()
    moved = ONE | {"backend": "migrate", "own": 4096, "mover_us": 1_500_000, "steered": True, "away": False}
    lines = lines_of(moved, monkeypatch)
    assert "bede_container_own_bytes 4096.0" in lines
    assert "bede_container_mover_cpu_seconds_total 1.5" in lines
    assert "bede_container_steering 1.0" in lines
    assert "bede_container_allocating_far 0.0" in lines
    assert "# TYPE bede_container_mover_cpu_seconds_total counter" in lines


def test_heat_is_told_where_it_was_measured(one: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hits" not in text()
    measured = ONE | {"hits_local": 0.58, "hits_best": 0.61, "vain": 8192, "mover_us": 1_500_000}
    lines = lines_of(measured, monkeypatch)
    assert "bede_container_hits_local_ratio 0.58" in lines
    assert "bede_container_hits_best_ratio 0.61" in lines
    assert "bede_container_moved_in_vain_bytes_total 8192.0" in lines
    assert "bede_container_mover_cpu_seconds_total 1.5" in lines
    assert "own_bytes" not in text()
    dashboard = (Path(__file__).parents[3] / "examples/prometheus/grafana-dashboard.json").read_text()
    shown = set(re.findall(r"bede_container_(?:hits|mover)\w+", dashboard))
    assert len(shown) == 3
    assert all(any(line.startswith(name) for line in lines) for name in shown)


def test_what_is_not_counted_is_not_told(one: None) -> None:
    assert "promoted" not in text()
    assert "oom_kills" not in text()


def test_no_agent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[dict[str, Any]]:
        raise AgentError("the agent cannot be reached")

    monkeypatch.setattr(collect.containers, "listing", fail)
    assert "\nbede_up 0.0\n" in text()


def test_one_that_ends_meanwhile_is_no_error(one: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "read", lambda one: None)
    assert "bede_container_local_bytes" in text()
    assert "demoted_bytes" not in text()


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("127.0.0.1:9475", ("127.0.0.1", 9475)),
        ("127.1.2.3:0", ("127.1.2.3", 0)),
        ("[::1]:80", ("::1", 80)),
        ("/run/x.sock", "/run/x.sock"),
    ],
)
def test_where_to_listen(given: str, where: object) -> None:
    assert serve.address(given) == where


@pytest.mark.parametrize(
    "given",
    ["", "9475", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost:1", "127.0.0.1:65536", "127.0.0.1:-1", "x"],
)
def test_where_not(given: str) -> None:
    with pytest.raises(InputError):
        serve.address(given)


def served(where: str | tuple[str, int] = ("127.0.0.1", 0)) -> str:
    """Serve the metrics in a thread that ends with the tests. Returns the address."""
    there = threading.Event()
    url: list[str] = []

    def ready(text: str) -> None:
        url.append(text)
        there.set()

    threading.Thread(target=serve.serve, args=(where, ready), daemon=True).start()
    assert there.wait(30)
    return url[0]


def test_it_answers_one_path(one: None) -> None:
    url = [served()]
    with urllib.request.urlopen(url[0], timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert b"bede_container_local_bytes" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(url[0].replace("/metrics", "/"), timeout=30)
    assert error.value.code == 404
    for method in ("POST", "DELETE"):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(urllib.request.Request(url[0], method=method), timeout=30)
        assert error.value.code == 501


def test_who_asks_slowly_keeps_nobody_waiting(one: None) -> None:
    url = served()
    port = int(url.split(":")[2].partition("/")[0])
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
    for connection in slow:
        connection.send(b"G")
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.status == 200
    for connection in slow:
        connection.close()


def test_what_goes_wrong_is_told(
    one: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> list[dict[str, Any]]:
        raise ValueError("a mistake")

    monkeypatch.setattr(collect.containers, "listing", fail)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(served(), timeout=30)
    assert error.value.code == 500
    assert capsys.readouterr().err.endswith("bede metrics: ValueError: a mistake\n")


def test_a_cgroups_name_is_anybodys(monkeypatch: pytest.MonkeyPatch, one: None) -> None:
    hostile = {**ONE, "cgroup": "/a\udcff\033[2J"}
    monkeypatch.setattr(
        collect.containers, "listing", lambda: [from_json(hostile), from_json({**ONE, "bound": 0})]
    )
    assert r'cgroup="/a\\udcff\\x1b[2J"' in text()


def test_two_cgroups_are_never_one_series(monkeypatch: pytest.MonkeyPatch, one: None) -> None:
    """Prometheus would drop series that appear twice, and users who may make cgroups choose their names."""
    hostile = [from_json({**ONE, "cgroup": f"/a{char}"}) for char in "\x01\x02"]
    monkeypatch.setattr(collect.containers, "listing", lambda: hostile)
    series = [
        line.partition(" ")[0] for line in text().splitlines() if line.startswith("bede_container_local")
    ]
    assert len(set(series)) == 2


def test_a_socket_in_use_stays(one: None, tmp_path: Path) -> None:
    where = str(tmp_path / "socket")
    assert served(where) == where
    with pytest.raises(AccessError, match="in use"):
        serve.serve(where, lambda text: None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(30)
        client.connect(where)
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.0 200 OK"


def test_a_socket_that_was_left_behind_does_not(one: None, tmp_path: Path) -> None:
    where = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(where)
    assert served(where) == where
    (tmp_path / "file").write_text("kept")
    with pytest.raises(AccessError):
        serve.serve(str(tmp_path / "file"), lambda text: None)
    assert (tmp_path / "file").read_text() == "kept"
    with pytest.raises(AccessError, match="too long"):
        serve.serve("/" + "x" * 200, lambda text: None)
