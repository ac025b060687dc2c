# SPDX-License-Identifier: Apache-2.0
"""Containers of pods, from bundles as containerd and CRI-O write them."""

import json
import os
from pathlib import Path
from typing import Any

import hosts
import pytest

from ocihook.engines import cri, names

ID, OTHER = "ab" * 32, "cd" * 32
SLICE = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5f2c.slice"
WHERE = f"{SLICE}/cri-containerd-{ID}.scope"
TOLD = f"kubepods-burstable-pod5f2c.slice:cri-containerd:{ID}"
CRUN = f"/pods.slice/crio-{OTHER}.scope/container"
CONTAINERD = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-namespace": "shop",
    "io.kubernetes.cri.sandbox-name": "front-0",
    "io.kubernetes.cri.sandbox-uid": "5f2c",
    "io.kubernetes.cri.container-name": "web",
    "bede.local/web": "1G",
}
CRIO = {
    "io.kubernetes.cri-o.ContainerType": "container",
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.pod.name": "front-1",
    "io.kubernetes.pod.uid": "77aa",
    "io.kubernetes.container.name": "web",
}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    hosts.redirect(monkeypatch, tmp_path)
    monkeypatch.setattr(cri, "_known", {})
    return tmp_path


def _bundle(host: Path, annotations: object, id: str = ID, engine: int = 0, told: str = TOLD) -> Path:
    directory = host / cri.BUNDLES[engine].format(id=id).lstrip("/")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(
        json.dumps({"annotations": annotations, "linux": {"cgroupsPath": told}})
    )
    return directory / "config.json"


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (WHERE, TOLD),
        (f"/kubepods/burstable/pod5f2c/{ID}", f"/kubepods/burstable/pod5f2c/{ID}"),
        (f"/x.slice/cri-containerd-{ID}.scope", f"x.slice:cri-containerd:{ID}"),
    ],
)
def test_a_container_of_containerds_is_named_after_its_pod(host: Path, where: str, told: str) -> None:
    _bundle(host, CONTAINERD, told=told)
    assert names.of([(ID, where)]) == {where: "shop/front-0/web"}
    assert names.annotations_of(ID, where) == CONTAINERD
    member = cri.members([(ID, where)])[where]
    assert (member.namespace, member.pod, member.uid, member.container) == ("shop", "front-0", "5f2c", "web")


@pytest.mark.parametrize(
    ("text", "borrows"), [("web", True), ("job,web", True), ("webs,job", False), ("", False), (",", False)]
)
def test_a_pod_says_which_of_its_containers_borrow(host: Path, text: str, borrows: bool) -> None:
    _bundle(host, {**CONTAINERD, "bede.dev/borrowers": text})
    assert cri.members([(ID, WHERE)])[WHERE].borrows is borrows


def test_one_of_cri_os_too(host: Path) -> None:
    _bundle(host, CONTAINERD)
    _bundle(host, CRIO, OTHER, engine=len(cri.BUNDLES) - 1, told=f"pods.slice:crio:{OTHER}")
    assert names.of([(ID, WHERE), (OTHER, CRUN)]) == {WHERE: "shop/front-0/web", CRUN: "shop/front-1/web"}


@pytest.mark.parametrize("told", [TOLD, "", "::", ":", f"/x/{ID}", None, 1])
def test_a_cgroup_of_a_users_is_not_named_after_a_pod(host: Path, told: Any) -> None:
    where = f"/user.slice/user-1000.slice/user@1000.service/cri-containerd-{ID}.scope"
    _bundle(host, CONTAINERD, told=told)
    assert names.of([(ID, where)]) == {}


def test_docker_serves_the_kubelet_too(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_of_docker", lambda ids: dict.fromkeys(ids, "k8s_web_front-0_shop"))
    scope, plain = f"{SLICE}/docker-{ID}.scope", f"/kubepods/burstable/pod5f2c/{OTHER}"
    assert set(names.of([(ID, scope), (OTHER, plain)]).values()) == {"k8s_web_front-0_shop"}


def test_a_known_container_is_not_read_again(host: Path) -> None:
    config = _bundle(host, CONTAINERD)
    assert cri.members([(ID, WHERE)])
    config.unlink()
    assert names.of([(ID, WHERE)]) == {WHERE: "shop/front-0/web"}


def test_a_container_that_is_not_there_yet_is_found_later(host: Path) -> None:
    assert names.of([(ID, WHERE)]) == {}
    assert names.annotations_of(ID, WHERE) is None
    _bundle(host, CONTAINERD)
    assert names.of([(ID, WHERE)]) == {WHERE: "shop/front-0/web"}


@pytest.mark.parametrize(
    "annotations",
    [
        None,
        [],
        "x",
        {"io.kubernetes.cri.container-type": 1},
        {},
        {"bede.local": "1G"},
        {"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-name": "front-0"},
        {**CONTAINERD, "io.kubernetes.cri-o.ContainerType": "container"},
        {**CONTAINERD, "io.kubernetes.cri.container-name": "web\n"},
        {**CONTAINERD, "io.kubernetes.cri.sandbox-name": "../x"},
        {**CONTAINERD, "io.kubernetes.cri.sandbox-uid": "\033[2J"},
    ],
)
def test_what_is_no_container_of_a_pod_has_no_name(host: Path, annotations: object) -> None:
    _bundle(host, annotations)
    assert names.of([(ID, WHERE)]) == {}


@pytest.mark.parametrize("text", ["", "[", "[]", "1", '"x"', "[" * 100_000])
def test_a_file_that_is_no_configuration_has_no_name(host: Path, text: str) -> None:
    _bundle(host, {}).write_text(text)
    assert names.of([(ID, WHERE)]) == {}


def test_a_link_is_not_followed(host: Path, tmp_path: Path) -> None:
    config = _bundle(host, {})
    config.unlink()
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"annotations": CONTAINERD}))
    config.symlink_to(secret)
    assert names.of([(ID, WHERE)]) == {}
    config.unlink()
    os.mkfifo(config)
    assert names.of([(ID, WHERE)]) == {}


def test_other_containers_are_not_looked_up(host: Path) -> None:
    _bundle(host, CONTAINERD)
    assert names.of([(ID, "/system.slice/runc-x.scope"), ("web", "/kubepods/web")]) == {}
