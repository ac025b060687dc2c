# SPDX-License-Identifier: Apache-2.0
"""Reviews, and the HTTPS server that answers them."""

import base64
import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_apiserver import FakeApiServer
from hypothesis import given
from hypothesis import strategies as st

from ocihook.cluster import words
from ocihook.cluster.api import Api
from ocihook.cluster.webhook import review, server
from ocihook.cluster.webhook.placed import Placed
from ocihook.errors import AccessError, InputError

Json = dict[str, Any]
ACCOUNT = "system:serviceaccount:bede-system:bede-node"
CLASSES = ("bede",)


def nothing(namespace: str, labels: dict[str, str]) -> dict[str, int]:
    """A cluster without profiles."""
    return {}


def of(operation: str = "CREATE", **request: object) -> Json:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "7", "operation": operation, **request},
    }


def pod(request: str) -> Json:
    web = {"name": "web", "resources": {"limits": {words.RESOURCE: request}}}
    return {"metadata": {"name": "p"}, "spec": {"containers": [web]}}


def test_a_pod_is_completed() -> None:
    response = review.of_pod(of(object=pod("64Mi")), CLASSES, nothing)["response"]
    assert (response["uid"], response["allowed"], response["patchType"]) == ("7", True, "JSONPatch")
    paths = [one["path"] for one in json.loads(base64.b64decode(response["patch"]))]
    assert "/metadata/annotations/bede.local~1web" in paths


def test_a_pod_is_refused_in_one_line() -> None:
    response = review.of_pod(of(object=pod("1Ki")), CLASSES, nothing)["response"]
    assert response["allowed"] is False
    assert response["status"]["code"] == 422
    assert "less than the least bound" in response["status"]["message"]
    assert "\n" not in response["status"]["message"]


def test_a_change_is_checked() -> None:
    before = pod("64Mi")
    before["metadata"] |= {"labels": {words.BOUND: "true"}, "annotations": {"bede.local/web": "64Mi"}}
    after = {**before, "metadata": {**before["metadata"], "annotations": {"bede.local/web": "1G"}}}
    for object, allowed in ((before, True), (after, False)):
        answer = review.of_pod(of("UPDATE", object=object, oldObject=before), CLASSES, nothing)
        assert answer["response"]["allowed"] is allowed
        assert "patch" not in answer["response"]


def node_review(user: str, name: str, **extra: str) -> Json:
    told = {f"authentication.kubernetes.io/{key.replace('_', '-')}": [value] for key, value in extra.items()}
    return of("UPDATE", name=name, userInfo={"username": user, "extra": told})


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (node_review(ACCOUNT, "n1", node_name="n1"), True),
        (node_review(ACCOUNT, "n2", node_name="n1"), False),
        (node_review(ACCOUNT, "n1", pod_name="bede-node-x"), True),
        (node_review(ACCOUNT, "n2", pod_name="bede-node-x"), False),
        (node_review(ACCOUNT, "", pod_name="nobody"), False),
        (node_review(ACCOUNT, "n1"), False),
        (node_review("system:serviceaccount:bede-system:bede-controller", "n1"), True),
        # One in another namespace: this program may not know that Bede is there.
        (node_review("system:serviceaccount:memory:bede-node", "n2", node_name="n1"), False),
        (node_review("system:serviceaccount:memory:bede-node", "n1", node_name="n1"), True),
        (node_review("system:serviceaccount:memory:bede-node", "n1", pod_name="bede-node-x"), False),
    ],
)
def test_a_node_writes_about_itself_alone(asked: Json, allowed: bool) -> None:
    answer = review.of_node(asked, words.NAMESPACE, {"bede-node-x": "n1", "nobody": ""}.__getitem__)
    assert answer["response"]["allowed"] is allowed
    if not allowed:
        assert answer["response"]["status"]["code"] == 403


def test_a_new_object_has_its_name_in_itself() -> None:
    user = {"username": ACCOUNT, "extra": {"authentication.kubernetes.io/node-name": ["n1"]}}
    for name, allowed in (("n1", True), ("n2", False)):
        asked = of(name="", object={"metadata": {"name": name}}, userInfo=user)
        assert review.of_node(asked, words.NAMESPACE, lambda pod: "")["response"]["allowed"] is allowed


def test_a_pods_node_is_asked_for_once(fake: FakeApiServer, api: Api) -> None:
    placed = Placed(api, "bede-system")
    assert placed.node_of("x") == ""
    fake.put("/api/v1/namespaces/bede-system/pods/x", {"spec": {"nodeName": "n1"}})
    assert [placed.node_of("x") for _ in range(3)] == ["n1"] * 3
    assert len(fake.asked) == 2


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda s: st.lists(s) | st.dictionaries(st.text(), s))
)
def test_what_is_no_review_is_said_to_be_none(raw: object) -> None:
    with pytest.raises(InputError, match="no AdmissionReview"):
        review.of_pod(raw, CLASSES, nothing)


def certify(where: Path, name: str) -> None:
    """Make a certificate that signs itself."""
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", "tls.key", "-out", "tls.crt"]
    subprocess.run(["openssl", *words, *files], cwd=where, check=True, capture_output=True)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    """The port of a server whose certificate is in *tmp_path*."""
    certify(tmp_path, "first")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    ready = threading.Event()

    def refuse(raw: object) -> Json:
        raise InputError("no")

    paths: dict[str, server.Answer] = {"/echo": lambda raw: {"got": raw}, "/refuse": refuse}
    words = (port, str(tmp_path), paths, ready.set)
    threading.Thread(target=server.serve, args=words, daemon=True).start()
    assert ready.wait(10)
    yield port


def connection(port: int, where: Path) -> http.client.HTTPSConnection:
    trusting = ssl.create_default_context(cafile=str(where / "tls.crt"))
    return http.client.HTTPSConnection("localhost", port, timeout=10, context=trusting)


def asked(port: int, where: Path, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    client = connection(port, where)
    client.request(method, path, body)
    answer = client.getresponse()
    return answer.status, answer.read()


def test_it_answers_over_tls(served: int, tmp_path: Path) -> None:
    assert asked(served, tmp_path, "POST", "/echo?timeout=5s", b'{"a": 1}') == (200, b'{"got": {"a": 1}}')
    assert asked(served, tmp_path, "GET", "/healthz") == (200, b"ok\n")
    assert asked(served, tmp_path, "GET", "/other")[0] == 404
    assert asked(served, tmp_path, "POST", "/other", b"{}")[0] == 404
    assert asked(served, tmp_path, "POST", "/echo", b"{")[0] == 400
    assert asked(served, tmp_path, "POST", "/echo", b"[" * 100_000)[0] == 400
    assert asked(served, tmp_path, "POST", "/refuse", b"{}") == (400, b"no\n")


def test_a_body_that_is_too_long_is_not_read(served: int, tmp_path: Path) -> None:
    client = connection(served, tmp_path)
    client.putrequest("POST", "/echo")
    client.putheader("Content-Length", str(server.SCANNED + 1))
    client.endheaders()
    assert client.getresponse().status == 413


@pytest.mark.parametrize(("sign", "allowed"), [(b"app", True), (b"bede.dev/bound", False)])
def test_what_is_too_long_to_be_parsed_does_not_pass_unseen(
    served: int, tmp_path: Path, sign: bytes, allowed: bool
) -> None:
    """An API server that got no answer would take the label off a pod, or give it any bound."""
    begin = b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-7","object":"'
    # The sign of the second one begins in one part and ends in the next one.
    for before in (1, (1 << 16) - len(begin) - 5, server.MOST):
        body = begin + before * b"x" + b'","' + sign + b'":"' + server.MOST * b"y" + b'"}}'
        status, answer = asked(served, tmp_path, "POST", "/echo", body)
        response = json.loads(answer)["response"]
        assert (status, response["uid"], response["allowed"]) == (200, "u-7", allowed)
    assert asked(served, tmp_path, "POST", "/echo", (server.MOST + 1) * b"x")[0] == 400


def test_large_bodies_are_few_at_a_time_and_have_to_come_soon(
    served: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 of the largest ones would be more than the webhook's limit of memory."""
    monkeypatch.setattr(server, "LARGE_SECONDS", 1.0)
    large = b'{"a": "' + server.SMALL * b"x" + b'"}'
    held = [connection(served, tmp_path) for _ in range(server.LARGE)]
    for one in held:
        one.putrequest("POST", "/echo")
        one.putheader("Content-Length", str(len(large)))
        one.endheaders(large[:-1])
    assert asked(served, tmp_path, "POST", "/echo", b"{}") == (200, b'{"got": {}}')
    assert asked(served, tmp_path, "POST", "/echo", large)[0] in (200, 503)
    time.sleep(2 * server.LARGE_SECONDS)
    assert asked(served, tmp_path, "POST", "/echo", large)[0] == 200
    for one in held:  # they did not come to an end, and had to go
        with contextlib.suppress(OSError, http.client.HTTPException):
            one.send(large[-1:])
            assert one.getresponse().status != 200
        one.close()


def test_several_reviews_share_a_connection(served: int, tmp_path: Path) -> None:
    client = connection(served, tmp_path)
    for number in range(3):
        client.request("POST", "/echo", str(number))
        assert client.getresponse().read() == b'{"got": %d}' % number


def test_those_who_do_not_speak_keep_nobody_out(served: int, tmp_path: Path) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", served), timeout=20) for _ in range(3 * server.AT_ONCE // 2)
    ]
    assert asked(served, tmp_path, "GET", "/healthz")[0] == 200
    # The oldest ones had to go.
    assert silent[0].recv(1) == b""
    for one in silent:
        one.close()


def test_nobody_stays_for_ever(served: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WHOLE", 0.5)
    client = connection(served, tmp_path)
    client.connect()
    began = time.monotonic()
    with contextlib.suppress(OSError):
        while time.monotonic() - began < 20:
            client.sock.sendall(b"G")  # one byte after another
            time.sleep(0.1)
    assert time.monotonic() - began < 20
    assert asked(served, tmp_path, "GET", "/healthz")[0] == 200


def test_no_request_fails_where_a_connection_ends(
    served: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server would make the pod as it is: it does not ask again."""
    monkeypatch.setattr(server, "LIFE", 0.2)
    client = connection(served, tmp_path)
    began, ends = time.monotonic(), 0
    while time.monotonic() - began < 1.5:
        client.request("POST", "/echo", b"1")
        answer = client.getresponse()
        assert answer.read() == b'{"got": 1}'
        if answer.getheader("Connection") == "close":
            ends += 1
            client.close()  # and the next request makes another one
    assert 3 <= ends <= 8


def test_who_was_answered_is_kept_before_those_who_do_not_speak(served: int, tmp_path: Path) -> None:
    client = connection(served, tmp_path)
    client.request("POST", "/echo", b"1")
    assert client.getresponse().read() == b'{"got": 1}'
    silent = [socket.create_connection(("127.0.0.1", served), timeout=20) for _ in range(2 * server.AT_ONCE)]
    assert silent[0].recv(1) == b""
    client.request("POST", "/echo", b"2")
    assert client.getresponse().read() == b'{"got": 2}'
    for one in silent:
        one.close()


def test_a_connection_may_be_idle_for_longer_than_the_api_server_leaves_it(
    served: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.IDLE > 90 + server.SECONDS
    monkeypatch.setattr(server, "SECONDS", 0.2)
    client = connection(served, tmp_path)
    for number in range(2):
        client.request("POST", "/echo", str(number))
        assert client.getresponse().read() == b'{"got": %d}' % number
        time.sleep(0.6)


SERVE = """
import sys, time, types
from ocihook.cluster import door
from ocihook.cluster.webhook import server
server.time = types.SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: sys.stdin.readline())
paths = {"/echo": lambda raw: {"got": raw}}
ready = lambda: print("ready", flush=True)
sys.exit(door.checked("x", lambda: server.serve(int(sys.argv[1]), sys.argv[2], paths, ready)))
"""


def test_who_asks_one_that_was_told_to_end_is_answered(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """API servers go on asking until they know that it goes; unanswered, a pod would be made as it is."""
    certify(tmp_path, "first")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    line = [sys.executable, "-c", SERVE, str(port), str(tmp_path)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        request.addfinalizer(process.kill)
        assert process.stdout.readline() == "ready\n"
        kept, waits = (connection(port, tmp_path) for _ in range(2))
        kept.request("POST", "/echo", b"1")
        assert kept.getresponse().read() == b'{"got": 1}'
        waits.putrequest("POST", "/echo")
        waits.putheader("Content-Length", "3")
        waits.endheaders(b"2")
        process.terminate()
        while asked(port, tmp_path, "GET", "/healthz")[0] != 503:
            time.sleep(0.05)
        process.terminate()  # once is enough
        kept.request("POST", "/echo", b"3")
        answer = kept.getresponse()
        assert (answer.read(), answer.getheader("Connection")) == (b'{"got": 3}', "close")
        assert asked(port, tmp_path, "POST", "/echo", b"4") == (200, b'{"got": 4}')
        process.stdin.write("the time to leave is over\n")
        process.stdin.flush()
        with pytest.raises(ConnectionError):  # refused or reset: who comes now goes to another one
            while True:
                socket.create_connection(("127.0.0.1", port), timeout=20).close()
                time.sleep(0.01)  # not to fill the queue of those who wait
        assert process.poll() is None
        waits.send(b"34")
        assert waits.getresponse().read() == b'{"got": 234}'
        assert process.wait(30) == 0


def test_a_new_certificate_is_used_at_once(served: int, tmp_path: Path) -> None:
    assert asked(served, tmp_path, "GET", "/healthz")[0] == 200
    before = (tmp_path / "tls.crt").read_bytes()
    certify(tmp_path, "second")
    assert asked(served, tmp_path, "GET", "/healthz")[0] == 200
    (tmp_path / "old").mkdir()
    (tmp_path / "old/tls.crt").write_bytes(before)
    with pytest.raises(ssl.SSLError):
        asked(served, tmp_path / "old", "GET", "/healthz")
    # Half a new one, such as while files are being replaced, changes nothing.
    second = (tmp_path / "tls.crt").read_bytes()
    (tmp_path / "tls.key").write_text("")
    assert asked(served, tmp_path, "GET", "/healthz")[0] == 200
    certify(tmp_path, "third")
    (tmp_path / "tls.crt").write_bytes(second)
    assert asked(served, tmp_path, "GET", "/healthz")[0] == 200


def test_no_certificate_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"no certificate in .*/tls\.crt"):
        server.serve(0, str(tmp_path), {}, lambda: None)
