# SPDX-License-Identifier: Apache-2.0
"""The recipe of the image, and the cache it is built in."""

import os
import shutil
import time
from pathlib import Path

import pytest

from ocihook.errors import InputError, MachineError
from vmlab import cache, image
from vmlab.progress import Progress


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_recipe_is_the_text_not_the_place_or_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = image.recipe()
    copy = tmp_path / "elsewhere"
    shutil.copytree(image.GUEST, copy)
    for file in copy.rglob("*"):
        os.utime(file, (1, 1))
    monkeypatch.setattr(image, "GUEST", copy)
    assert image.recipe() == before
    with (copy / "setup.sh").open("a") as script:
        script.write("true\n")
    assert image.recipe() != before


def test_further_packages_are_an_image_of_their_own_by_what_they_are() -> None:
    known = image.packages()[0]
    assert image.recipe(("fio", "gdb")) == image.recipe(("gdb", "fio", "gdb", known))
    assert len({image.recipe(), image.recipe(("fio",)), image.recipe(("fio", "gdb"))}) == 3
    assert image.recipe((known,)) == image.recipe()
    (include,) = [word for word in image.command("root", "OUT", ("fio",)) if word.startswith("--include=")]
    assert include.endswith(",fio")


@pytest.mark.parametrize(
    "said", ["E: Unable to locate package nosuch", "E: Package 'nosuch' has no installation candidate"]
)
def test_a_package_that_is_not_there_is_told_by_its_name(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mock = tmp_path / "bin/setpriv"
    mock.parent.mkdir()
    mock.write_text(f'#!/bin/sh\necho "I: installing packages..."\necho "{said}"\nexit 100\n')
    mock.chmod(0o755)
    monkeypatch.setenv("PATH", str(mock.parent), prepend=":")
    monkeypatch.setattr(image, "need", lambda tools: None)
    with pytest.raises(InputError, match="has no package nosuch"):
        image.ensure(Progress(quiet=True), ("fio", "nosuch"))
    with pytest.raises(MachineError, match="could not be built"):
        image.ensure(Progress(quiet=True))


def test_digest_keeps_parts_apart() -> None:
    assert cache.digest([b"ab", b"c"]) != cache.digest([b"a", b"bc"])


def test_no_network_host_name_and_no_machine_path_in_the_recipe() -> None:
    text = " ".join(image.command("root", "OUT")) + "".join(
        path.read_text() for path in image.GUEST.rglob("*") if path.is_file() and path.suffix != ".pyc"
    )
    assert "http:" not in text and "https:" not in text and "debian.org" not in text


def test_what_is_built_appears_whole_and_once() -> None:
    calls: list[Path] = []

    def build(out: Path) -> None:
        calls.append(out)
        (out / "root.img").write_text("x")

    first = cache.built("image-1", build)
    assert (first / "root.img").read_text() == "x"
    assert cache.built("image-1", build) == first
    assert len(calls) == 1
    assert not list(cache.root().glob("tmp-*"))


def test_a_failed_build_leaves_nothing() -> None:
    def build(out: Path) -> None:
        (out / "half").write_text("x")
        raise MachineError("no")

    with pytest.raises(MachineError):
        cache.built("image-2", build)
    assert [p.name for p in cache.root().iterdir()] == ["image.lock"]


def test_sweep_takes_the_dead_and_leaves_the_living() -> None:
    dead = cache.root() / "tmp-dead"
    dead.mkdir()
    with cache.scratch() as living:
        cache.sweep()
        assert living.is_dir()
        assert not dead.exists()
    assert not living.exists()


def test_an_image_that_nobody_used_for_long_goes_with_the_next() -> None:
    old, recent = (cache.built(f"image-{name}", lambda _: None) for name in ("old", "recent"))
    past = time.time() - cache.KEEP_SECONDS - 1
    os.utime(old, (past, past))
    cache.built("image-new", lambda _: None)
    assert not old.exists()
    assert recent.exists()


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(MachineError) as error:
        image.need({"mke2fs": "e2fsprogs"})
    assert error.value.hint == "Run: apt-get install e2fsprogs"


def test_progress_says_what_begins(capsys: pytest.CaptureFixture[str]) -> None:
    Progress().stage("booting")
    Progress(quiet=True).stage("nothing")
    assert capsys.readouterr().err == "bede vm: [   0 s] booting\n"
