# SPDX-License-Identifier: Apache-2.0
"""The output of `bede completion`, used by real shells."""

import argparse
import contextlib
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ocihook.cli import completion, main
from ocihook.errors import InputError

pytest.importorskip("shtab")
COMPLETE = """
. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE=${LINE-$*}
_shtab_bede; printf '%s\\n' "${COMPREPLY[@]}"
"""
#: makes zsh complete LINE as if Tab were pressed, and write the offered words to the file OFFERED
ZSHRC = """
fpath=($ZDOTDIR $fpath)
autoload -U compinit && compinit -u -D
compadd() {
  [[ $funcstack[2] == _bede_containers ]] && print -rl -- "${@[2,-1]}" >> $OFFERED
  builtin compadd "$@"
}
zle-line-init() {
  BUFFER=$LINE CURSOR=$#LINE
  zle complete-word
  BUFFER=exit
  zle accept-line
}
zle -N zle-line-init
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "bede"
    path.write_text(completion.script("bash"))
    return path


def offered(script: Path, *words: str, path: str = os.environ["PATH"], line: str = "") -> list[str]:
    """The words that bash offers for the last of *words*; *line* is the whole line, if it has more."""
    done = subprocess.run(
        ["bash", "-c", COMPLETE, str(script), *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path} | ({"LINE": line} if line else {}),
        cwd=script.parent,
    )
    assert "syntax error" not in done.stderr
    return done.stdout.split()


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {word for action in parser._actions for word in action.option_strings}


def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def test_every_command_that_is_there_is_in_the_tree_with_all_of_its_options() -> None:
    commands = below(completion.tree())
    assert list(commands) == [name for name in main.COMMANDS if name in main.commands()]
    assert {"ps", "set", "agent", "completion", "vm"} <= set(commands)
    for name, parser in commands.items():
        own = main.command_parser(name)
        assert options(parser) == options(own)
        assert set(below(parser)) == set(below(own))


def test_bash_offers_commands_options_and_choices(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert offered(script, "bede", "") == [*main.commands()]
    assert offered(script, "bede", "p")[0] == "ps"
    assert offered(script, "bede", "ps", "--j") == ["--json"]
    assert offered(script, "bede", "completion", "") == ["bash", "zsh"]
    assert offered(script, "bede", "vm", "ru") == ["run"]
    assert "debian-7.3" in offered(script, "bede", "vm", "run", "--kernel", "")


@pytest.fixture
def containers(tmp_path: Path) -> str:
    """A PATH with a `bede` that lists three containers, and a `sudo` that lists another user's."""
    for name, words, lines in (
        ("bede", "ps --names", "shop-frontend-web-1 shop-frontend-web-2 4f1c2d3e4f5a"),
        ("sudo", "-n bede ps --names", "roots"),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n[ \"$*\" = '{words}' ] && printf '%s\\n' {lines}\n")
        program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


NAMED = ["shop-frontend-web-1", "shop-frontend-web-2", "4f1c2d3e4f5a"]
#: the beginning of every command that takes a container
TAKES = [
    ["set"],
    ["explain"],
    ["stats"],
    ["stats", "--follow"],
    ["stats", "web"],
    ["top"],
    ["top", "web"],
    ["record", "-o", "x"],
    ["record", "web"],
]


@pytest.mark.parametrize("words", TAKES, ids=" ".join)
def test_bash_offers_containers(script: Path, containers: str, words: list[str]) -> None:
    assert offered(script, "bede", *words, "", path=containers) == NAMED
    assert offered(script, "bede", *words, "shop-frontend-web-2", path=containers) == NAMED[1:2]


@pytest.mark.parametrize("words", TAKES, ids=" ".join)
def test_zsh_offers_containers(containers: str, words: list[str], tmp_path: Path) -> None:
    assert zsh_offers(containers, tmp_path, ["bede", *words]) == NAMED


def zsh_offers(path: str, directory: Path, words: list[str]) -> list[str]:
    """The words that zsh offers after *words*."""
    if shutil.which("zsh") is None:
        pytest.skip("there is no zsh here")
    (directory / "_bede").write_text(completion.script("zsh"))
    (directory / ".zshrc").write_text(ZSHRC)
    found = directory / "offered"
    found.touch()
    environment = {"PATH": path, "TERM": "dumb", "ZDOTDIR": str(directory), "HOME": str(directory)}
    environment |= {"LINE": " ".join([*words, ""]), "OFFERED": str(found)}
    terminal, zsh = pty.openpty()
    with subprocess.Popen(
        ["zsh", "-d", "-i"], stdin=zsh, stdout=zsh, stderr=zsh, env=environment, start_new_session=True
    ) as process:
        os.close(zsh)
        with contextlib.suppress(OSError):  # EIO: the shell has ended
            while os.read(terminal, 4096):
                pass
        assert process.wait(60) == 0
    os.close(terminal)
    return found.read_text().split()


@pytest.mark.parametrize(
    ("uid", "line", "found"),
    [(1000, "sudo bede set ", ["roots"]), (1000, "bede set ", NAMED), (0, "sudo bede set ", NAMED)],
)
def test_a_line_of_sudo_is_asked_by_sudo(
    script: Path, containers: str, uid: int, line: str, found: list[str]
) -> None:
    id = Path(containers.partition(":")[0], "id")
    id.write_text(f"#!/bin/sh\necho {uid}\n")
    id.chmod(0o755)
    assert offered(script, "bede", "set", "", path=containers, line=line) == found


def test_bash_offers_programs_and_directories(script: Path, containers: str) -> None:
    assert "bede" in offered(script, "bede", "vm", "run", "--", "bed", path=containers)
    (script.parent / "pictures").mkdir(exist_ok=True)
    assert offered(script, "bede", "vm", "run", "--out", "pic") == ["pictures"]


def test_zsh_has_all_commands() -> None:
    text = completion.script("zsh")
    assert text.startswith("#compdef bede\n")
    for name in main.commands():
        assert f"    {name}:" in text
    assert "_bede_containers()" in text


def test_without_shtab_there_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(InputError, match="needs the Python package shtab") as found:
        completion.script("bash")
    assert "python3-shtab" in found.value.hint


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_what_a_container_is_called_is_never_run(shell: str, tmp_path: Path) -> None:
    """A user who may make cgroups can give them any name, and root presses Tab."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    listed = "abc\\nweb\\n$(touch\\ pwned)\\n$(touch${IFS}pwned)\\n`id`\\nabd\\n-n"
    (tmp_path / "bede").write_text(f"#!/bin/sh\nprintf '{listed}\\n'\n")
    (tmp_path / "bede").chmod(0o755)
    (tmp_path / "script").write_text(f"{completion._NAMES}\n{completion.PREAMBLES[shell]}")
    ask = {
        "bash": "_bede_containers ab; echo; _bede_containers",
        "zsh": "compadd() { shift; print -l -- $@ }; _bede_containers",
    }
    done = subprocess.run(
        [shell, "-c", f". ./script; {ask[shell]}"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert not (tmp_path / "pwned").exists()
    assert set(done.stdout.split()) == {"abc", "abd", "web"}
