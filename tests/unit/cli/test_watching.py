# SPDX-License-Identifier: Apache-2.0
"""`bede stats`, `record` and `top` with containers made of plain files."""

import csv
import io
import json
import os
import re
import resource
import threading
from pathlib import Path
from typing import Any

import hosts
import pytest

from ocihook.cgroup import path
from ocihook.cli import main as cli
from ocihook.cli import terminal
from ocihook.control.status import from_json
from ocihook.topology import nodes
from ocihook.watch import containers, recording, table

ONE = {"id": "web-id", "name": "web", "key": "", "cgroup": "/web", "backend": "tier", "bound": 8192}
LISTED = {"local": 0, "far": 0, "runtime": "runc"}


@pytest.fixture(autouse=True)
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cgroup of this host's only bound container."""
    monkeypatch.setattr(path, "mount_point", lambda: str(tmp_path))
    monkeypatch.setattr(containers, "listing", lambda: [from_json(ONE | LISTED)])
    monkeypatch.setattr(nodes, "find", lambda far: nodes.Tiers((0,), (1,)))
    hosts.redirect(monkeypatch, tmp_path)
    directory = tmp_path / "web"
    directory.mkdir()
    (directory / "memory.numa_stat").write_text("inactive_anon N0=4096 N1=12288\n")
    (directory / "memory.stat").write_text("pgdemote_direct 2\n")
    return directory


def test_stats_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["stats", "--interval", "0.01"]) == 0
    _head, line = capsys.readouterr().out.splitlines()
    assert line.split() == ["web-id", "web", "8K", "4K", "50.0", "12K", "0", "-", "-", "-", "-"]
    assert cli.main(["stats", "web", "--json", "--interval", "0.01"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["local"], one["far"], one["demoted"], one["promoted"]) == (4096, 12288, 8192, None)


def test_stats_follow_ends_with_the_container(web: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threading.Timer(0.2, (web / "memory.stat").unlink).start()
    assert cli.main(["stats", "web", "--follow", "--csv", "--interval", "0.01"]) == 0
    head, *lines = csv.reader(capsys.readouterr().out.splitlines())
    assert tuple(head) == table.CSV
    assert lines
    assert {line[1] for line in lines} == {"web-id"}


def test_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.csv"
    words = ["record", "-o", str(out), "--interval", "0.01", "--seconds", "0.1"]
    assert cli.main(words) == 0
    with out.open(newline="\n") as file:
        (one,) = recording.parse(file, "out.csv").series
    assert one.points[0].far == 12288
    assert len(one.points) <= 11
    size = out.stat().st_size
    assert cli.main(words) == 2
    assert "is there already" in capsys.readouterr().err
    assert out.stat().st_size == size
    assert cli.main([*words, "--force"]) == 0
    assert cli.main(["record", "-o", str(out), "--seconds", "0"]) == 2
    assert cli.main(["record", "-o", str(tmp_path / "no/out.csv")]) == 2


def test_record_says_what_it_has_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.csv"
    words = ["record", "-o", str(out), "--interval", "0.01", "--seconds", "0.05", "--force"]
    assert cli.main(words) == 0
    rows = len(out.read_text().splitlines()) - 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(rf"bede: recorded {rows} rows of 1 container in 0\.\d s: {out}\n", said.err)
    assert cli.main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_record_says_on_a_terminal_what_it_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "is_terminal", lambda out=None: True)
    out = tmp_path / "out.csv"
    words = ["record", "-o", str(out), "--interval", "0.01", "--seconds", "0.05"]
    assert cli.main(words) == 0
    first, _last = capsys.readouterr().err.splitlines()
    assert first == f"bede: recording web, and what comes every 0.01 s for 0.05 s: {out}"
    assert cli.main([*words, "--force", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("most", [100, 800, 1003])
def test_a_recording_that_fills_its_disk_has_whole_lines(
    most: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        assert cli.main(["record", "-o", str(out), "--interval", "0.01"]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    text = out.read_text()
    rows = max(text.count("\n") - 1, 0)
    assert text == "" or text.endswith("\n")
    assert capsys.readouterr().err == (
        f"bede: {out} cannot be written: File too large."
        f" {rows} whole row{'' if rows == 1 else 's'} of the recording are there.\n"
    )
    if text:
        with out.open(newline="\n") as file:
            assert sum(len(one.points) for one in recording.parse(file, "out.csv").series) == rows


def test_a_full_disk_is_told_with_the_files_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["record", "-o", "/dev/full", "--force"]) == 1
    assert "/dev/full cannot be written: No space left on device. 0 whole rows" in capsys.readouterr().err
    run, drawn = tmp_path / "run.csv", tmp_path / "run.html"
    assert cli.main(["record", "-o", str(run), "--interval", "0.01", "--seconds", "0.05", "-q"]) == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        assert cli.main(["plot", str(run), "-o", str(drawn)]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f"bede: {drawn} cannot be written: File too large. Make room" in capsys.readouterr().err
    assert sorted(tmp_path.glob("run.html*")) == []


@pytest.mark.parametrize(
    "words", [["stats"], ["stats", "--json"], ["stats", "-f", "--csv"], ["record", "-o-"]]
)
def test_output_to_a_full_disk(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    saved = os.dup(1)
    with capsys.disabled(), open("/dev/full", "w") as full, pytest.MonkeyPatch.context() as patch:  # noqa: PTH123
        patch.setattr("sys.stdout", full)
        said = io.StringIO()
        patch.setattr("sys.stderr", said)
        assert cli.main([*words, "--interval", "0.01"]) == 1
    os.close(saved)
    assert said.getvalue().startswith("bede: standard output cannot be written: No space left on device. ")
    assert said.getvalue().count("\n") == 1


def test_record_to_a_pipe_whose_reader_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert cli.main(["record", "-o", "-"]) == 141


def test_top_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["top"]) == 2
    assert capsys.readouterr().err == (
        "bede: bede top needs a terminal. Use bede stats --follow, which prints lines.\n"
    )


@pytest.mark.parametrize("command", ("stats", "top", "record", "plot"))
def test_help_has_examples_and_fits(command: str) -> None:
    text = cli.command_parser(command).format_help()
    assert f"bede {command}" in text.partition("examples:")[2]
    assert all(len(line) <= 112 for line in text.splitlines())


FRONTEND = [f"shop-frontend-web-{number}" for number in (1, 2, 3)]


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The listing of `bede ps`: three containers whose ids people chose, as with runc."""
    found = [ONE | LISTED | {"id": id, "name": "", "cgroup": f"/{id}"} for id in FRONTEND]
    monkeypatch.setattr(containers, "listing", lambda: [from_json(one) for one in found])
    return found


def test_ps_shows_ids_that_were_chosen_whole(
    listed: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ps"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        [id, "-"] for id in FRONTEND
    ]


@pytest.mark.parametrize("columns", [70, 100, 200])
def test_ps_fits_a_terminal_and_tells_containers_apart(
    listed: list[dict[str, Any]],
    columns: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for one in listed:
        one["name"] = f"the-{one['id']}-of-all"
    monkeypatch.setattr(terminal, "room", lambda: columns)
    assert cli.main(["ps"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["CONTAINER", "NAME"]
    if columns >= 100:
        assert all(len(line) <= columns for line in lines)
    assert len({line.split()[0] for line in lines}) == 3
    assert len({line.split()[1] for line in lines}) == 3
    if columns == 200:
        assert [line.split()[0] for line in lines] == FRONTEND


def test_ps_names_are_what_can_be_said_of_each(
    listed: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    listed[0]["name"] = "web"
    listed[1] |= {"id": "ab" * 32, "name": "web"}
    assert cli.main(["ps", "--names"]) == 0
    assert capsys.readouterr().out.split() == ["web", FRONTEND[0], "ab" * 6, FRONTEND[2]]
    listed.clear()
    assert cli.main(["ps", "--names"]) == 0
    assert capsys.readouterr().out == ""
