# SPDX-License-Identifier: Apache-2.0
"""What `--cluster` adds to a machine, and what its build says when it fails."""

import os
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

from ocihook.engines import containerd
from ocihook.errors import MachineError
from vmlab import cluster, payload, topology
from vmlab import run as vm_run
from vmlab.cluster import build
from vmlab.progress import Progress


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_files_are_the_machines_own() -> None:
    members = cluster.members()
    assert os.access(members["usr/local/bin/bede-cluster"], os.X_OK)
    units = {Path(name).stem for name in members if name.endswith(".service")}
    kubes = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"}
    assert units == {"etcd", "kubelet", *kubes}
    for name in units:
        text = members[f"usr/lib/systemd/system/{name}.service"].read_text()
        assert f"ExecStart={cluster.PROGRAMS}/{name} " in text
    # They take the place of files that every machine has, and of no others.
    assert not members.keys() & payload.members().keys()


def test_one_token_is_in_all_of_them() -> None:
    config = yaml.safe_load(cluster.members()["etc/kubernetes/admin.conf"].read_text())
    token = config["users"][0]["user"]["token"]
    assert cluster.members()["etc/kubernetes/tokens.csv"].read_text().startswith(token + ",")
    assert f'TOKEN = "{token}"' in cluster.members()["usr/lib/bede-vm/cluster_api.py"].read_text()


def test_the_class_is_added_to_a_file_that_containerd_reads() -> None:
    file = tomllib.loads(cluster.members()["etc/containerd/config.toml"].read_text())
    runtimes = file["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]
    made = containerd.runtime("/usr/bin/bede-runtime", runtimes["runc"])
    assert made["options"] == {"SystemdCgroup": True, "BinaryName": "/usr/bin/bede-runtime"}


def test_it_has_the_memory_that_it_needs_unless_a_person_says_otherwise() -> None:
    small = vm_run.machine_nodes(vm_run.Options([]))
    large = vm_run.machine_nodes(vm_run.Options([], cluster=True))
    assert [node.size for node in small.nodes] == [1024, 2048]
    assert [node.size for node in large.nodes] == [cluster.LEAST, 2048]
    told = vm_run.machine_nodes(vm_run.Options([], cluster=True, memory=[512, 512]))
    assert [node.size for node in told.nodes] == [512, 512]
    assert topology.find("two-tier").nodes[0].size == 1024


def test_kubectl_finds_the_cluster() -> None:
    env = vm_run.environment(vm_run.Options([], cluster=True))
    assert env["KUBECONFIG"].lstrip("/") in cluster.members()
    assert "KUBECONFIG" not in vm_run.environment(vm_run.Options([]))


def _mock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put *script* in the place of mmdebstrap; its last argument but one says where the files go."""
    mock = tmp_path / "bin/setpriv"
    mock.parent.mkdir()
    mock.write_text(f"#!/bin/sh\n{script}\n")
    mock.chmod(0o755)
    monkeypatch.setenv("PATH", str(mock.parent), prepend=":")
    monkeypatch.setattr(build.image, "need", lambda tools: None)


def test_a_build_that_fails_leaves_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _mock(tmp_path, monkeypatch, 'echo "I: unpacking"; echo "no room" >&2; exit 1')
    with pytest.raises(MachineError, match=r"could not be built; the last lines: .*no room") as caught:
        build.ensure(Progress())
    assert "kubernetes: unpacking" in capsys.readouterr().err
    log = Path(caught.value.hint.rpartition(" ")[2])
    assert log.read_text() == "I: unpacking\nno room\n"


def test_a_build_without_programs_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _mock(tmp_path, monkeypatch, "exit 0")
    with pytest.raises(MachineError, match="could not be built"):
        build.ensure(Progress(quiet=True))


def test_what_is_built_becomes_a_disk_by_what_the_script_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = "for word; do case $word in *sync-out*) out=${word##* } ;; esac; done"
    _mock(tmp_path, monkeypatch, f'{find}; mkdir "$out/bin"; echo x >"$out/bin/kubelet"')
    first = build.ensure(Progress(quiet=True))
    assert (first / build.DISK).stat().st_size > 0
    copy = tmp_path / "other.sh"
    shutil.copy(build.SCRIPT, copy)
    monkeypatch.setattr(build, "SCRIPT", copy)
    assert build.ensure(Progress(quiet=True)) == first
    copy.write_text(copy.read_text() + "true\n")
    assert build.ensure(Progress(quiet=True)) != first
