# SPDX-License-Identifier: Apache-2.0
"""Whether the webhook can be asked, by a real handshake."""

import base64
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocihook.cluster.controller import reach
from ocihook.cluster.controller.reach import Webhook

DAYS = 30
DAY = 86400


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a server with a certificate for 127.0.0.1, which signs itself."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(DAYS), "-subj", "/CN=x"]
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "tls.key", "-out", "tls.crt"]
    subprocess.run([*made, *files], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    with (
                        contextlib.suppress(OSError),
                        context.wrap_socket(client, server_side=True) as secure,
                    ):
                        secure.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def there(port: int, tmp_path: Path) -> Webhook:
    return Webhook("127.0.0.1", "127.0.0.1", port, (tmp_path / "tls.crt").read_text())


def test_all_is_well(there: Webhook) -> None:
    now = time.time()
    why, ends = reach.reach(there, now)
    assert why == ""
    assert ends is not None
    assert abs(ends - now - DAYS * DAY) < DAY


def test_the_end_of_a_certificate_is_told_before(there: Webhook) -> None:
    why, ends = reach.reach(there, time.time() + (DAYS - 3) * DAY + 600)
    assert f"127.0.0.1:{there.port} ends in 2 days" in why
    assert ends is not None


def test_a_certificate_for_another_name_is_refused(there: Webhook) -> None:
    why, ends = reach.reach(there._replace(name="other.svc"), time.time())
    assert "the certificate of other.svc:" in why
    assert "mismatch" in why
    assert ends is None


def test_a_certificate_of_another_authority_is_refused(there: Webhook) -> None:
    why, _ = reach.reach(there._replace(authority=""), time.time())
    assert "self-signed certificate" in why
    assert "\n" not in why


def test_nobody_is_there(there: Webhook) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    why, ends = reach.reach(there._replace(port=free), time.time())
    assert f"127.0.0.1:{free} cannot be reached: Connection refused; so pods" in why
    assert ends is None


def test_what_is_no_authority_is_said(there: Webhook) -> None:
    assert "cannot be reached" in reach.reach(there._replace(authority="no certificate"), time.time()).why


def test_the_webhook_is_where_the_api_server_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = base64.b64encode(b"PEM").decode()
    service = {"name": "bede-webhook", "namespace": "bede-system", "path": "/pods"}
    configuration = {"webhooks": [{"clientConfig": {"service": service, "caBundle": bundle}}]}
    name = "bede-webhook.bede-system.svc"
    assert reach.webhook(configuration) == Webhook(name, name, 443, "PEM")
    monkeypatch.setenv("BEDE_WEBHOOK_SERVICE_HOST", "10.0.0.7")
    assert reach.webhook(configuration) == Webhook(name, "10.0.0.7", 443, "PEM")
    url = {"webhooks": [{"clientConfig": {"url": "https://hook.example:8443/pods"}}]}
    assert reach.webhook(url) == Webhook("hook.example", "hook.example", 8443, "")
    url = {"webhooks": [{"clientConfig": {"url": "https://127.0.0.1:99999/pods"}}]}
    nowhere = reach.webhook(url)
    assert nowhere is not None
    assert "127.0.0.1:0 cannot be reached" in reach.reach(nowhere, 0.0).why
    assert reach.webhook({"webhooks": []}) is None
    assert reach.webhook({}) is None
