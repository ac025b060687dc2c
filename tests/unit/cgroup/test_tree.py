# SPDX-License-Identifier: Apache-2.0
import os
import shutil
from pathlib import Path

import pytest

from ocihook.cgroup import tree

NAME = "memory.node_limit"


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    for path in ("a.slice/b.scope/container", "a.slice/c.scope", "off/below", "z"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("a.slice", "a.slice/b.scope", "a.slice/b.scope/container", "a.slice/c.scope", "z"):
        (tmp_path / path / NAME).touch()
    return tmp_path


def _paths(mount: Path) -> list[str]:
    return [cgroup.path for cgroup in tree.having(str(mount), NAME)]


ALL = ["/a.slice", "/a.slice/b.scope", "/a.slice/b.scope/container", "/a.slice/c.scope", "/z"]


def test_parents_come_before_their_children(mount: Path) -> None:
    assert _paths(mount) == ALL


def test_each_is_open_at_its_turn_and_closed_after_it(mount: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    seen = []
    for cgroup in tree.having(str(mount), NAME):
        assert os.fstat(cgroup.fd).st_ino == (mount / cgroup.path[1:]).stat().st_ino
        assert cgroup.directory == f"{mount}{cgroup.path}"
        seen.append(cgroup)
    assert all(cgroup.fd == -1 for cgroup in seen)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_below_a_cgroup_without_the_controller_is_not_looked_at(mount: Path) -> None:
    # The kernel would not have this file there; it shows that the walk does not get there.
    (mount / "off/below" / NAME).touch()
    assert _paths(mount) == ALL


def test_links_are_not_followed(mount: Path) -> None:
    (mount / "link").symlink_to(mount / "a.slice")
    (mount / "z/up").symlink_to(mount)
    assert _paths(mount) == ALL


def test_what_vanishes_during_the_walk_is_left_out(mount: Path) -> None:
    found = []
    for cgroup in tree.having(str(mount), NAME):
        found.append(cgroup.path)
        if cgroup.path == "/a.slice/b.scope":
            shutil.rmtree(mount / "a.slice")
    assert found == ["/a.slice", "/a.slice/b.scope", "/z"]


def test_depth_costs_no_descriptors(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(200):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
        os.close(os.open(NAME, os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)
    open_files = [len(os.listdir("/proc/self/fd")) for _ in tree.having(str(tmp_path), NAME)]
    assert len(open_files) == 200
    assert max(open_files) == min(open_files)
