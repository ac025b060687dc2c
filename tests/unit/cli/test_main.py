# SPDX-License-Identifier: Apache-2.0
"""What all commands have in common: the form of errors, --verbose, and output to any kind of file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocihook import fs
from ocihook.cli import main, terminal
from ocihook.control.status import from_json
from ocihook.errors import InputError
from ocihook.watch import containers

BEDE = [sys.executable, "-m", "ocihook.cli.main"]


def run(*words: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*BEDE, *words], text=True, check=False, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("name", sorted(main.COMMANDS))
def test_a_wrong_argument_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([name, "--no-such-option"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("bede: ")
    assert err.endswith(f". See bede {name} --help.\n") or name == "vm"


@pytest.mark.parametrize("words", [["nonsense"], ["--nonsense"], ["ps", "extra"]])
def test_so_is_a_wrong_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_verbose_tells_what_is_read_and_no_terminal_obeys_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("\033[2Jhostile\n")

    def look() -> list[object]:
        fs.read(str(file))
        raise InputError("it is \033[31mred", "Look again")

    monkeypatch.setattr(containers, "listing", look)
    for words in (["ps"], ["--verbose", "ps"], ["ps", "-v"]):
        assert main.main(words) == 2
        err = capsys.readouterr().err
        assert "\033" not in err
        assert err.endswith("bede: it is ?[31mred. Look again.\n")
        assert (f"bede: detail: read {file}: ?[2Jhostile" in err) == (len(words) > 1)
        assert ("Traceback" in err) == (len(words) > 1)
    assert fs.recorder is None


def test_a_mistake_of_ours_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(containers, "listing", lambda: 1 / 0)
    assert main.main(["ps"]) == 1
    err = capsys.readouterr().err
    assert (
        err
        == "bede: internal error: ZeroDivisionError: division by zero. Please report it, with --verbose.\n"
    )


FULL = (
    "bede: standard output cannot be written: No space left on device. Make room there, or write elsewhere.\n"
)


@pytest.mark.parametrize(
    "words", [["doctor"], ["doctor", "--json"], ["completion", "bash"], ["ps", "--help"]]
)
def test_a_full_disk_is_no_mistake_of_ours(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*words, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == FULL


def test_an_output_that_takes_nothing_is_named() -> None:
    with Path(os.devnull).open() as unwritable:
        done = run("doctor", stdout=unwritable, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("bede: standard output cannot be written: Bad file descriptor.")
    assert done.stderr.count("\n") == 1


def test_the_status_is_right_where_nobody_can_be_told() -> None:
    with Path("/dev/full").open("w") as full:
        assert run("doctor", "extra", stdout=subprocess.DEVNULL, stderr=full).returncode == 2


def test_whatever_there_is_to_write_on() -> None:
    done = run("doctor", "--json", stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    assert (done.returncode in (0, 3), done.stderr) == (True, "")
    environment = dict(os.environ, PYTHONIOENCODING="ascii")
    for words in (["doctor"], ["set", "--help"]):
        done = run(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        assert (done.returncode in (0, 3), done.stderr) == (True, "")


def test_colour_is_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "is_terminal", lambda out=None: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.painted("x", terminal.BAD) == "\033[31mx\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.painted("x", terminal.BAD) == "x"
    monkeypatch.setattr(terminal, "is_terminal", lambda out=None: False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.painted("x", terminal.BAD) == "x"


def test_a_limit_of_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = {"id": "x", "name": "", "bound": 0, "local": 5, "far": 0, "overshoot": 5}
    one |= {"outside": None, "backend": "node_limit", "runtime": "", "cgroup": "/x"}
    monkeypatch.setattr(containers, "listing", lambda: [from_json(one)])
    assert main.main(["ps"]) == 0
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.parametrize("name", main.CHECKOUT_ONLY)
@pytest.mark.parametrize("gone", ["vmlab", "module"])
def test_what_needs_a_checkout_says_so_where_there_is_none(
    name: str, gone: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = f"ocihook.cli.{name}"
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, module if gone == "module" else gone, None)
    assert main.main([name, "--help"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"bede: bede {name} comes with a checkout of Bede, ")


def test_what_needs_a_checkout_is_not_offered_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert set(main.commands()) == set(main.COMMANDS)
    monkeypatch.setattr(main.nodes, "MACHINE", str(tmp_path / "none"))
    assert set(main.commands()) == set(main.COMMANDS) - set(main.CHECKOUT_ONLY)


def test_every_command_says_what_it_is_for() -> None:
    for name in main.COMMANDS:
        text = main.command_parser(name).format_help()
        assert main.COMMANDS[name][1:] in " ".join(text.split())
