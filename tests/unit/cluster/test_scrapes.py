# SPDX-License-Identifier: Apache-2.0
"""The controller's metrics port bears clients that send nothing, or too many."""

import contextlib
import http.client
import socket
import threading
import time

import pytest
from fake_apiserver import wait_until
from kubernetes import client

from ocihook.cluster.api import Api
from ocihook.cluster.controller import metrics
from ocihook.cluster.controller.main import Controller
from ocihook.cluster.controller.trust import Trust
from ocihook.errors import AccessError
from ocihook.metrics import server
from vmlab.cluster.plane import free_ports


@pytest.fixture
def port() -> int:
    (port,) = free_ports(1)
    api = Api(client.Configuration())
    metrics.serve(Controller(api), Trust(api, "bede-system"), port)
    return port


def scrape(port: int, host: str = "127.0.0.1") -> str:
    asked = http.client.HTTPConnection(host, port, timeout=30)
    asked.request("GET", "/metrics")
    return asked.getresponse().read().decode()


def scraped(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return "bede_controller_acts 0.0" in scrape(port)
    return False


def threads() -> int:
    return sum("process_request_thread" in one.name for one in threading.enumerate())


def test_it_answers(port: int) -> None:
    assert scraped(port)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_it_answers_by_ipv6_too(port: int) -> None:
    assert "bede_controller_acts 0.0" in scrape(port, "::1")


def test_a_port_in_use_is_told(port: int) -> None:
    api = Api(client.Configuration())
    with pytest.raises(AccessError) as told:
        metrics.serve(Controller(api), Trust(api, "bede-system"), port)
    assert told.value.message == f"cannot listen at port {port}: Address already in use"


def test_clients_beyond_the_most_are_sent_away(port: int) -> None:
    before = threads()
    with contextlib.ExitStack() as open_:
        for _ in range(5 * server.AT_ONCE):
            open_.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        assert not scraped(port)
        assert threads() - before <= server.AT_ONCE
    wait_until("those that have gone leave room", lambda: scraped(port))


def test_a_client_that_sends_nothing_is_sent_away(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
        silent.sendall(b"GET /metr")
        began = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - began >= 0.1
    assert scraped(port)
