import os
from pathlib import Path

from ocihook.backends import choose


def test_a_cgroup_with_the_file_needs_no_fence(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    assert choose.for_cgroup(fd) == choose.TIER
    (tmp_path / "memory.node_limit").touch()
    assert choose.for_cgroup(fd) == choose.NODE_LIMIT
    os.close(fd)


def test_a_host_is_asked_by_the_children_of_the_root(tmp_path: Path) -> None:
    assert choose.for_host(str(tmp_path / "nowhere")) == choose.TIER
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "init.scope").mkdir()
    elsewhere = tmp_path / "init.scope/below"
    elsewhere.mkdir()
    (elsewhere / "memory.node_limit").touch()
    (tmp_path / "link").symlink_to(elsewhere)
    # Neither what is deeper nor what a link leads to.
    assert choose.for_host(str(tmp_path)) == choose.TIER
    (tmp_path / "system.slice").mkdir()
    (tmp_path / "system.slice/memory.node_limit").touch()
    assert choose.for_host(str(tmp_path)) == choose.NODE_LIMIT
