# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import hosts
import pytest

from ocihook.cgroup import path
from ocihook.errors import BedeError, HostError, InputError


class Host:
    """A mock of /proc and of a cgroup v2 mount."""

    def __init__(self, root: Path, root_in_hierarchy: str = "/") -> None:
        self.proc = root / "proc"
        self.mount = root / "my cgroups"
        (self.proc / "self").mkdir(parents=True)
        self.mount.mkdir()
        (self.mount / "cgroup.controllers").write_text("cpu memory pids\n")
        where = str(self.mount).replace(" ", "\\040")
        (self.proc / "self/mountinfo").write_text(
            "30 23 0:26 / /proc rw - proc proc rw\n"
            f"31 23 0:27 {root_in_hierarchy} {where} rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw\n"
        )

    def group(self, name: str) -> Path:
        directory = self.mount / name.lstrip("/")
        directory.mkdir(parents=True)
        (directory / "memory.high").write_text("max\n")
        return directory

    def process(self, *lines: str) -> None:
        (self.proc / "7").mkdir(exist_ok=True)
        (self.proc / "7/cgroup").write_text("".join(line + "\n" for line in lines))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    hosts.redirect(monkeypatch, tmp_path)
    return found


def _error() -> BedeError:
    with pytest.raises(BedeError) as caught:
        path.find(7)
    return caught.value


@pytest.mark.parametrize("name", ["/machine.slice/libpod-1.scope/container", "/docker/abc", "/a:b/c d"])
def test_the_directory_of_a_process(host: Host, name: str) -> None:
    directory = host.group(name)
    host.process("1:name=systemd:/x", f"0::{name}")
    with path.find(7) as cgroup:
        assert cgroup.path == name
        assert cgroup.directory == str(directory)
        assert cgroup.inode == directory.stat().st_ino
        assert os.stat("memory.high", dir_fd=cgroup.fd).st_ino == (directory / "memory.high").stat().st_ino
        fd = cgroup.fd
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_mount_of_a_part_of_the_hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, "/lxc/one")
    hosts.redirect(monkeypatch, tmp_path)
    host.group("/docker/abc")
    host.process("0::/lxc/one/docker/abc")
    with path.find(7) as cgroup:
        assert cgroup.path == "/docker/abc"
    host.process("0::/lxc/onetwo/docker/abc")
    assert isinstance(_error(), HostError)


def test_cgroup_v1_names_the_boot_parameter(host: Host) -> None:
    host.process("4:memory:/docker/abc", "0::/")
    error = _error()
    assert isinstance(error, HostError)
    assert "v1" in error.message
    assert "systemd.unified_cgroup_hierarchy=1" in error.hint


def test_no_cgroup_v2_at_all(host: Host) -> None:
    host.process("1:name=systemd:/x")
    assert "no cgroup v2" in _error().message
    host.process("0::/x")
    (host.proc / "self/mountinfo").write_text("30 23 0:26 / /proc rw - proc proc rw\n")
    assert "no cgroup v2 hierarchy is mounted" in _error().message


def test_the_memory_controller_is_off(host: Host) -> None:
    (host.group("/docker/abc") / "memory.high").unlink()
    host.process("0::/docker/abc")
    assert "not delegated" in _error().message
    (host.mount / "cgroup.controllers").write_text("cpu\n")
    assert "cgroup_disable=memory" in _error().hint


def test_the_root_cgroup_cannot_be_bound(host: Host) -> None:
    host.process("0::/")
    assert "root cgroup" in _error().message


def test_a_path_outside_the_namespace_is_refused(host: Host) -> None:
    host.process("0::/../../docker/abc")
    assert "namespace" in _error().message


def test_links_are_not_followed(host: Host, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "memory.high").write_text("max\n")
    (host.mount / "docker").symlink_to(elsewhere)
    host.process("0::/docker")
    assert isinstance(_error(), HostError)


def test_a_container_that_has_ended(host: Host) -> None:
    assert isinstance(_error(), InputError)
    host.process("0::/docker/abc")
    assert "has ended" in _error().message
    host.process("0::/docker/abc (deleted)")
    assert "has ended" in _error().message


def test_a_record_finds_only_its_own_cgroup_again(host: Host) -> None:
    inode = host.group("/docker/abc").stat().st_ino
    cgroup = path.reopen("/docker/abc", inode)
    assert cgroup is not None
    cgroup.close()
    cgroup.close()
    assert path.reopen("/docker/abc", inode + 1) is None
    assert path.reopen("/docker/none", inode) is None
    assert path.reopen("/docker/../docker/abc", inode) is None


@pytest.mark.parametrize(
    "line", ["31 23 - cgroup2 x", r"31 23 0:27 / /x\ rw - cgroup2", r"31 23 0:27 / /x\000 rw - cgroup2"]
)
def test_a_mount_that_is_not_the_kernels(host: Host, line: str) -> None:
    host.process("0::/docker/abc")
    (host.proc / "self/mountinfo").write_text(line + "\n")
    assert isinstance(_error(), BedeError)
