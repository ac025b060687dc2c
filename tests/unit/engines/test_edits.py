# SPDX-License-Identifier: Apache-2.0
"""Files are written as a whole, keep their other content, and are backed up."""

import os
import sys
from pathlib import Path

import pytest

from ocihook.engines import edits
from ocihook.engines.edits import Edit
from ocihook.errors import AccessError, InputError, RuntimeMissingError

PROGRAM = edits.program  # the real function, which these tests' fixture replaces


def test_mode_is_kept_and_the_old_text_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("old\n")
    path.chmod(0o640)
    (line,) = edits.apply([Edit(str(path), "old\n", "new\n")])
    (kept,) = tmp_path.glob("one.bede-*")
    assert (path.read_text(), kept.read_text()) == ("new\n", "old\n")
    assert path.stat().st_mode & 0o777 == kept.stat().st_mode & 0o777 == 0o640
    assert line == f"wrote {path} (backup: {kept}; the last 3 stay)"


def test_a_drop_in_s_old_text_is_not_where_it_would_be_read(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    path = tmp_path / "conf.d/one.conf"
    path.write_text("old\n")
    edits.apply([Edit(str(path), "old\n", None)])
    assert list((tmp_path / "conf.d").iterdir()) == []
    assert [one.read_text() for one in tmp_path.glob("one.conf.bede-*")] == ["old\n"]


def test_directories_are_for_everybody_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "a/b/c.json"
    before = os.umask(0o077)
    try:
        edits.apply([Edit(str(path), None, "x")])
    finally:
        os.umask(before)
    assert [one.stat().st_mode & 0o777 for one in (path, path.parent, path.parent.parent)] == [
        0o644,
        0o755,
        0o755,
    ]


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    link = str(tmp_path / "link")
    assert edits.read(link) == "old"
    with pytest.raises(AccessError, match="symbolic link") as refused:
        edits.apply([Edit(str(tmp_path / "other"), None, "x"), Edit(link, "old", "new")])
    assert refused.value.hint
    assert sorted(one.name for one in tmp_path.iterdir() if one.name != "etc") == ["link", "real"]


def test_a_file_that_changed_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("theirs")
    with pytest.raises(AccessError, match="meanwhile"):
        edits.apply([Edit(str(path), "old", "new")])
    assert path.read_text() == "theirs"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="regular"):
        edits.read(str(tmp_path))
    assert edits.read(str(tmp_path / "none")) is None


def test_a_diff_tells_of_new_files_and_of_removed_ones() -> None:
    text = edits.diff(
        [Edit("/new", None, "a\n"), Edit("/gone", "b", None), Edit("/other", "c\nd\n", "c\ne\n")]
    )
    assert "--- /dev/null\n+++ /new\n@@ -0,0 +1 @@\n+a\n" in text
    assert "--- /gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n\\ No newline at end of file\n" in text
    assert "--- /other\n+++ /other\n@@ -1,2 +1,2 @@\n c\n-d\n+e\n" in text


def test_a_program_of_ours_is_beside_bede_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for name in ("bede", "bede-hook"):
        (there / name).write_text("")
    (tmp_path / "bede").symlink_to("there/bede")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bede")])
    monkeypatch.setattr(edits, "ROOT", str(tmp_path / "nowhere"))
    monkeypatch.setattr(edits.os, "geteuid", lambda: 1000)
    assert PROGRAM("bede-hook") == str(there / "bede-hook")
    with pytest.raises(RuntimeMissingError, match="missing beside"):
        PROGRAM("bede-runtime")


def test_root_names_no_program_that_others_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bede-hook"
    path.write_text("")
    path.chmod(0o775)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bede")])
    with pytest.raises(AccessError, match="users other than root"):
        PROGRAM("bede-hook")


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("theirs")
    with pytest.raises(AccessError, match="meanwhile"):
        edits.apply([Edit(str(path), None, "new")])
    assert path.read_text() == "theirs"


def test_changes_in_one_second_keep_as_many_texts_but_no_more_than_the_last_three(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("0")
    for number in range(15):
        edits.apply([Edit(str(path), str(number), str(number + 1))])
        kept = sorted(int(one.read_text()) for one in tmp_path.glob("one.bede-*"))
        assert kept == list(range(max(number - 2, 0), number + 1))


def test_only_backups_of_the_same_file_go_and_never_the_one_just_made(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("old")
    others = ["one.bede-mine", "one.bede-20260101", "one.bede-20260101000000.txt", "two.bede-20260101000000"]
    for name in others:
        (tmp_path / name).write_text("")
    (tmp_path / "one.bede-20250101000000").symlink_to("two.bede-20260101000000")
    # made while the clock was wrong
    future = [f"one.bede-2999010100000{digit}" for digit in range(5)]
    for name in future:
        (tmp_path / name).write_text("")
    (line,) = edits.apply([Edit(str(path), "old", "new")])
    here = {one.name for one in tmp_path.iterdir()}
    assert {*others, "one.bede-20250101000000", *future[3:]} < here
    assert not here & set(future[:3])
    assert (Path(line.partition("backup: ")[2].partition(";")[0])).read_text() == "old"


def test_nothing_is_kept_of_what_does_not_change(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("same")
    plan = edits.Plan([Edit(str(path), "same", "same")])
    assert edits.apply(plan.changes()) == []
    assert [one.name for one in tmp_path.iterdir() if one.name != "etc"] == ["one"]


def test_a_directory_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    edits.apply([Edit(str(tmp_path / "link/one"), None, "x")])
    assert (tmp_path / "real/one").read_text() == "x"
