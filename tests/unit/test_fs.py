# SPDX-License-Identifier: Apache-2.0
import errno
import os
import stat
from pathlib import Path

import pytest

from ocihook import fs


def test_reading_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "link").symlink_to("secret")
    with pytest.raises(OSError, match="symbolic links"):
        fs.read(str(tmp_path / "link"))
    assert fs.read_or(str(tmp_path / "link"), "default") == "default"
    assert fs.read(str(tmp_path / "secret")) == "x"


def test_a_fifo_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert fs.read(str(tmp_path / "fifo")) == ""


def test_too_much_is_an_error_not_a_part(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 100)
    fd = os.open(tmp_path / "big", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="more than 99 bytes") as caught:
            fs.read_fd(fd, 99)
    finally:
        os.close(fd)
    assert caught.value.errno == errno.EFBIG


def test_write_needs_an_existing_file_and_records_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str, str]] = []
    monkeypatch.setattr(fs, "recorder", lambda *what: seen.append(what))
    with pytest.raises(FileNotFoundError):
        fs.write(str(tmp_path / "memory.high"), "1")
    (tmp_path / "memory.high").touch()
    fs.write(str(tmp_path / "memory.high"), "max")
    assert (tmp_path / "memory.high").read_text() == "max"
    assert [(op, data) for op, _, data in seen] == [("write", "1"), ("write", "max")]


@pytest.mark.parametrize("waits", [False, True])
def test_a_write_waits_for_the_kernel_only_where_it_is_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """By O_NONBLOCK a kernel file takes a limit without moving what is beyond it."""
    (tmp_path / "memory.node_limit").touch()
    found: list[bool] = []
    really = os.write

    def write(fd: int, data: bytes) -> int:
        found.append(os.get_blocking(fd))
        return really(fd, data)

    monkeypatch.setattr(os, "write", write)
    fs.write(str(tmp_path / "memory.node_limit"), "N0=max", waits=waits)
    assert found == [waits]


def test_replace_loops_over_partial_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    fs.replace(str(tmp_path / "file"), "0123456789")
    assert (tmp_path / "file").read_text() == "0123456789"


def test_replace_leaves_the_old_file_and_no_temporary_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("old")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        fs.replace(str(tmp_path / "file"), "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_replace_takes_the_place_of_a_link_and_never_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    directory = fs.open_directory(str(tmp_path))
    try:
        fs.replace("link", "new", dir_fd=directory, mode=0o640)
    finally:
        os.close(directory)
    assert (tmp_path / "target").read_text() == "old"
    assert not (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "link").stat().st_mode) == 0o640


def test_replace_is_not_led_astray_by_a_planted_temporary(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("old")
    (tmp_path / f"file.{os.getpid()}.tmp").symlink_to("victim")
    fs.replace(str(tmp_path / "file"), "new")
    assert (tmp_path / "victim").read_text() == "old"
    assert (tmp_path / "file").read_text() == "new"


def test_open_below_refuses_links_and_parents(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/link").symlink_to("b")
    root = fs.open_directory(str(tmp_path))
    try:
        below = fs.open_below(root, "/a//./b")
        assert os.fstat(below).st_ino == (tmp_path / "a/b").stat().st_ino
        os.close(below)
        for path in ("a/link", "../x", "a/../a", "a/none"):
            with pytest.raises(OSError):
                fs.open_below(root, path)
    finally:
        os.close(root)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("007", 7),
        (str((1 << 64) - 1), (1 << 64) - 1),
        *(
            (text, None)
            for text in (str(1 << 64), "9" * 5000, "", "-1", "+1", "1_0", " 1", "1 ", "0x1", "²", "٣")
        ),
    ],
)
def test_a_number_is_what_the_kernel_calls_one(text: str, number: int | None) -> None:
    assert fs.number(text) == number
