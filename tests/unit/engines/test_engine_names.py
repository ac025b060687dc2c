# SPDX-License-Identifier: Apache-2.0
"""Containers' names, from mocks of processes and of Docker."""

import http.server
import json
import os
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import hosts
import pytest

from ocihook import fs
from ocihook.engines import conmon, names

ID = "ab" * 32
WHERE = f"/libpod-{ID}.scope/container"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host: process 7 is in the container's cgroup, 6 is its runtime, 5 its conmon."""
    cgroup = tmp_path / f"cgroup/libpod-{ID}.scope/container"
    cgroup.mkdir(parents=True)
    (cgroup / "cgroup.procs").write_text("7\n8\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    mount = f"31 23 0:27 / {tmp_path}/cgroup rw - cgroup2 cgroup2 rw\n"
    (tmp_path / "proc/self/mountinfo").write_text(mount)
    own, run = f"{tmp_path}/storage/overlay-containers", f"{tmp_path}/run/overlay-containers"
    above = ["/usr/bin/conmon", "-c", ID, "-u", ID, "-b", f"{own}/{ID}/userdata"]
    above += ["-p", f"{run}/{ID}/userdata/pidfile", "-n", "web", "--full-attach"]
    for pid, parent, words in ((7, 6, ["redis"]), (6, 5, ["crun"]), (5, 1, above), (1, 0, ["init"])):
        one = tmp_path / f"proc/{pid}"
        one.mkdir()
        (one / "cmdline").write_text("\0".join(words) + "\0")
        (one / "cgroup").write_text(f"0::{WHERE if pid == 7 else '/else'}\n")
        (one / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")
        (one / "stat").write_text(f"{pid} (x) S {'1 ' * 30}")
    hosts.redirect(monkeypatch, tmp_path)
    for directory in (own, run):
        Path(directory).mkdir(parents=True)
    monkeypatch.setattr(conmon, "_conmons", {})
    monkeypatch.setattr(conmon, "_read", {})
    return tmp_path


def _store(host: Path, *names: str, file: str = "storage/overlay-containers/containers.json") -> Path:
    """Write Podman's storage file, in which container ID has *names*."""
    (host / file).write_text(json.dumps([{"id": "cd" * 32, "names": ["db"]}, {"id": ID, "names": names}]))
    return host / file


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


def test_an_init_system_in_a_container_does_not_hide_it(host: Path) -> None:
    """An init system leaves no process in the container's own cgroup."""
    (host / f"cgroup{WHERE}/cgroup.procs").write_text("")
    below = host / f"cgroup{WHERE}/init.scope"
    below.mkdir()
    (below / "cgroup.procs").write_text("7\n")
    assert names.of([(ID, WHERE)]) == {WHERE: "web"}


@pytest.mark.parametrize(
    "file",
    [
        "storage/overlay-containers/containers.json",
        "storage/overlay-containers/volatile-containers.json",
        "run/overlay-containers/volatile-containers.json",
    ],
)
def test_a_new_name_is_seen(host: Path, file: str) -> None:
    assert names.of([(ID, WHERE)]) == {WHERE: "web"}
    _store(host, "web", file=file)
    assert names.of([(ID, WHERE)]) == {WHERE: "web"}
    _store(host, "shop", file=file)
    assert names.of([(ID, WHERE)]) == {WHERE: "shop"}


def test_a_look_that_brings_no_news_is_cheap(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a second, for perhaps hundreds of containers: no parents are followed, and no storage is read."""
    _store(host, "shop")
    names.of([(ID, WHERE)])
    read: list[str] = []
    monkeypatch.setattr(fs, "recorder", lambda op, path, data: read.append(path))
    assert names.of([(ID, WHERE)]) == {WHERE: "shop"}
    assert read == [f"{host}/proc/5/stat"]


def test_another_conmon_is_another_life(host: Path) -> None:
    names.of([(ID, WHERE)])
    (host / "proc/5/stat").write_text(f"5 (x) S {'2 ' * 30}")
    line = host / "proc/5/cmdline"
    line.write_text(line.read_text().replace("web", "shop"))
    assert names.of([(ID, WHERE)]) == {WHERE: "shop"}


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[" * 100000, '[{"id": 1, "names": 2}]', "\udcff"])
def test_storage_of_another_form_is_left_alone(host: Path, text: str) -> None:
    _store(host).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert names.of([(ID, WHERE)]) == {WHERE: "web"}


def test_storage_that_is_not_ours_is_not_read(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's Podman could tell root which file to open."""
    _store(host, "evil")
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert names.of([(ID, WHERE)]) == {WHERE: "web"}


def test_a_link_in_the_storages_place_is_not_followed(host: Path) -> None:
    _store(host, "evil", file="elsewhere")
    (host / "storage/overlay-containers/containers.json").symlink_to(host / "elsewhere")
    assert names.of([(ID, WHERE)]) == {WHERE: "web"}


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


def test_dockers_own_name_is_the_one_without_a_link(docker: type[_Docker]) -> None:
    docker.answer = [{"Id": ID, "Names": ["/other/db", "/cache"]}]
    assert names.of([(ID, f"/docker/{ID}")]) == {f"/docker/{ID}": "cache"}


def test_one_without_a_name_takes_nobody_elses(docker: type[_Docker]) -> None:
    """Such as a container that Docker is just removing."""
    docker.answer = [{"Id": "cd" * 32, "Names": None}, None, {"Id": ID, "Names": ["/cache"]}]
    assert names.of([(ID, f"/docker/{ID}")]) == {f"/docker/{ID}": "cache"}


def test_docker_is_asked_wherever_its_containers_are(docker: type[_Docker]) -> None:
    """They may be anywhere (`--cgroup-parent`, another driver), with cri-dockerd also among Kubernetes'."""
    docker.answer = [{"Id": ID, "Names": ["/cache"]}]
    mine, kubelets = f"/mine/{ID}", f"/kubepods/pod7/{ID}"
    found = names.of([(ID, mine), (ID, kubelets), ("web", "/default/web")])
    assert found == {mine: "cache", kubelets: "cache"}


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
