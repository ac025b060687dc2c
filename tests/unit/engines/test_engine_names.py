"""Containers' names, of pretended processes and a pretended Docker."""

import http.server
import json
import os
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocihook.cgroup import kin, path
from ocihook.engines import names

ID = "ab" * 32
WHERE = f"/libpod-{ID}.scope/container"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Process 7 in the container's cgroup, 6 its runtime, 5 its conmon."""
    cgroup = tmp_path / f"cgroup/libpod-{ID}.scope/container"
    cgroup.mkdir(parents=True)
    (cgroup / "cgroup.procs").write_text("7\n8\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    mount = f"31 23 0:27 / {tmp_path}/cgroup rw - cgroup2 cgroup2 rw\n"
    (tmp_path / "proc/self/mountinfo").write_text(mount)
    conmon = ["/usr/bin/conmon", "-c", ID, "-u", ID, "-n", "web", "--full-attach"]
    for pid, parent, words in ((7, 6, ["redis"]), (6, 5, ["crun"]), (5, 1, conmon), (1, 0, ["init"])):
        process = tmp_path / f"proc/{pid}"
        process.mkdir()
        (process / "cmdline").write_text("\0".join(words) + "\0")
        (process / "cgroup").write_text(f"0::{WHERE if pid == 7 else '/else'}\n")
        (process / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")
    monkeypatch.setattr(path, "PROC", str(tmp_path / "proc"))
    monkeypatch.setattr(kin, "PROC", str(tmp_path / "proc"))
    return tmp_path


def test_podmans_is_in_its_conmon(host: Path) -> None:
    assert names.of([(ID, WHERE)]) == {WHERE: "web"}


def test_another_containers_conmon_is_not_believed(host: Path) -> None:
    assert names.of([("cd" * 32, WHERE)]) == {}


@pytest.mark.parametrize("name", ["a\033[31mb", "$(id)", "", "-x", "a b", "x" * 200])
def test_what_no_engine_gives_is_no_name(host: Path, name: str) -> None:
    (host / "proc/5/cmdline").write_text(f"conmon\0-c\0{ID}\0-n\0{name}\0")
    assert names.of([(ID, WHERE)]) == {}


def test_a_process_of_the_container_does_not_choose_its_name(host: Path) -> None:
    for pid in (6, 7):
        (host / f"proc/{pid}/cgroup").write_text(f"0::{WHERE}\n")
        (host / f"proc/{pid}/cmdline").write_text(f"/x/conmon\0-c\0{ID}\0-n\0evil\0")
    assert names.of([(ID, WHERE)]) == {WHERE: "web"}
    (host / "proc/6/cgroup").write_text(f"0::{WHERE}/below\n")
    assert names.of([(ID, WHERE)]) == {WHERE: "web"}


def test_what_has_ended_has_none(host: Path) -> None:
    (host / f"cgroup{WHERE}/cgroup.procs").write_text("")
    assert names.of([(ID, WHERE)]) == {}
    assert names.of([(ID, "/libpod-gone.scope")]) == {}


class _Docker(http.server.BaseHTTPRequestHandler):
    answer: object = None

    def do_GET(self) -> None:
        body = json.dumps(self.answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "docker"

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Docker]]:
    where = str(tmp_path / "docker.sock")
    monkeypatch.setattr(names, "DOCKER", where)
    with socketserver.UnixStreamServer(where, _Docker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield _Docker
        server.shutdown()
        thread.join()


def test_dockers_are_asked_of_docker(docker: type[_Docker]) -> None:
    docker.answer = [{"Id": ID, "Names": ["/cache"]}]
    where = f"/system.slice/docker-{ID}.scope"
    assert names.of([(ID, where), ("cd" * 32, "/docker/cd")]) == {where: "cache"}
    docker.answer = {"HostConfig": {"Annotations": {"bede.local": "1G"}}}
    assert names.annotations_of(ID, f"/docker/{ID}") == {"bede.local": "1G"}


@pytest.mark.parametrize(
    "answer", [None, [], [1], [{}], {"HostConfig": None}, [{"Id": ID, "Names": []}], "x"]
)
def test_nonsense_is_no_name(docker: type[_Docker], answer: object) -> None:
    docker.answer = answer
    assert names.of([(ID, f"/docker/{ID}")]) == {}
    assert names.annotations_of(ID, f"/docker/{ID}") in (None, {})


def test_without_docker_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "DOCKER", str(tmp_path / "none"))
    assert names.of([(ID, f"/docker/{ID}")]) == {}


def test_a_socket_of_somebody_elses_is_not_asked(
    docker: type[_Docker], monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.answer = [{"Id": ID, "Names": ["/cache"]}]
    owner = os.stat(names.DOCKER).st_uid
    if owner == 0:
        os.chown(names.DOCKER, 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert names.of([(ID, f"/docker/{ID}")]) == {}
