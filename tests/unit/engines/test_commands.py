# SPDX-License-Identifier: Apache-2.0
"""`bede configure` and `bede unconfigure`, from the command line."""

import json
from pathlib import Path

import pytest

from ocihook.cli import main
from ocihook.engines import backups, containerd_dump, docker, engine, podman, programs, real


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines' programs that exist but print nothing."""
    monkeypatch.setattr(programs, "find", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(programs, "output", lambda *words, **options: "")


@pytest.mark.parametrize("name", engine.NAMES)
def test_a_missing_engine_is_told_but_can_be_looked_at(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["configure", name]) == 5
    assert capsys.readouterr().err.startswith(f"bede: {name} is not installed: ")
    assert main.main(["configure", name, "--set-default", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "--- /dev/null\n+++ " in out
    assert "/usr/bin/bede-" in out
    assert main.main(["unconfigure", name]) == 0
    assert capsys.readouterr().out == "nothing to do\n"


@pytest.mark.usefixtures("installed")
def test_what_is_written_is_said_and_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["configure", "docker", "--set-default"]) == 0
    assert capsys.readouterr().out == f"wrote {docker.PATH}\nnow run: {docker.THEN}\n"
    assert main.main(["configure", "docker"]) == 0
    assert capsys.readouterr().out == "nothing to do\n"
    assert main.main(["unconfigure", "docker", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"--- {docker.PATH}\n+++ /dev/null\n")
    assert "do not start" in err
    assert main.main(["unconfigure", "docker"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"removed {docker.PATH}",
        "Containers made with the runtime bede do not start without it.",
        f"now run: {docker.THEN}",
    ]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", engine.NAMES)
def test_a_run_that_changes_nothing_says_no_next_step_and_keeps_no_backup(
    name: str, host: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(containerd_dump, "dump", lambda files, version: None)
    if name == "docker":
        Path(docker.PATH).parent.mkdir()
        Path(docker.PATH).write_text("{}")
    for command in ("configure", "unconfigure"):
        assert main.main([command, name]) == 0
        before = sorted(host.rglob("*"))
        for _ in range(3):
            capsys.readouterr()
            assert main.main([command, name]) == 0
            out = capsys.readouterr().out
            assert out.endswith("nothing to do\n")
            assert "now " not in out
        assert sorted(host.rglob("*")) == before
    for _ in range(6):
        main.main(["configure", name])
        main.main(["unconfigure", name])
    assert len(list(host.rglob("*.bede-*"))) <= backups.KEPT


@pytest.mark.usefixtures("installed")
def test_only_root_writes_but_everybody_may_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(podman.os, "geteuid", lambda: 1000)
    for command in ("configure", "unconfigure"):
        assert main.main([command, "docker"]) == 4
        assert "Run it as root" in capsys.readouterr().err
    assert main.main(["configure", "docker", "--dry-run"]) == 0
    assert not Path(docker.PATH).exists()


@pytest.mark.usefixtures("installed")
def test_a_file_that_is_not_utf_8_can_be_shown_and_keeps_its_bytes() -> None:
    path = Path(docker.PATH)
    path.parent.mkdir()
    path.write_bytes(b'{"labels": ["a=\xff"]}')
    assert main.main(["configure", "docker", "--dry-run"]) == 0
    assert main.main(["configure", "docker"]) == 0
    assert b"a=\xff" in path.read_bytes()


@pytest.mark.usefixtures("installed")
def test_podman_needs_no_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["configure", "podman", "--set-default", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "an annotation alone is enough" in err
    assert "an annotation" not in out


@pytest.mark.usefixtures("installed")
def test_what_is_behind_is_said_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(docker.PATH)
    path.parent.mkdir()
    fake, other = ({"path": f"/opt/{name}"} for name in ("fake/nvidia-container-runtime", "other"))
    path.write_text(json.dumps({"runtimes": {"fake": fake, "other": other}}))
    behind = "Behind bede-runtime docker has its runtime fake (/opt/fake/nvidia-container-runtime), by "
    assert main.main(["configure", "docker", "--real", "fake"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"wrote {real.script('docker')}"
    assert lines[2].startswith(behind)
    assert lines[3] == f"now run: {docker.THEN}"
    assert main.main(["configure", "docker"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(behind)
    assert lines[1:] == ["nothing to do"]
    # The engine does not read the script, so it need not be reloaded.
    assert main.main(["configure", "docker", "--real", "other"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"wrote {real.script('docker')}"
    assert [line.partition(" docker")[0] for line in lines[1:]] == ["Behind bede-runtime"]
    assert main.main(["configure", "podman", "--real", "fake"]) == 2
    assert capsys.readouterr().err == (
        "bede: --real is not for Podman, which runs Bede's hooks with any runtime. Run it without --real.\n"
    )


@pytest.mark.parametrize(
    "words", [["configure"], ["configure", "lxc"], ["unconfigure", "docker", "--set-default"]]
)
def test_other_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_states_are_those_of_all_engines() -> None:
    states = engine.all_states()
    assert [one.name for one in states] == list(engine.NAMES)
    assert not any(one.installed or one.configured or one.version for one in states)
    assert all(one.note and "\n" not in one.note for one in states)


@pytest.mark.parametrize(
    "said, expected",
    [
        ("podman version 5.4.2\n", "5.4.2"),
        ("Docker version 26.1.5+dfsg1, build 411e817\n", "26.1.5+dfsg1"),
        ("containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6+deb13u1\n", "1.7.24~ds1"),
        ("containerd containerd.io v2.1.4 75cb2b7\n", "2.1.4"),
        ("crio version 1.31.0\nVersion:        1.31.0\n", "1.31.0"),
        ("", ""),
    ],
)
def test_a_version_is_found(said: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "output", lambda *words, **options: said)
    assert engine.version("x") == expected
