"""What `bede completion` prints, in a shell that completes with it."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ocihook.cli import completion, main
from ocihook.errors import InputError

pytest.importorskip("shtab")
COMPLETE = """
. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_bede; printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "bede"
    path.write_text(completion.script("bash"))
    return path


def offered(script: Path, *words: str, path: str = os.environ["PATH"]) -> list[str]:
    """What bash offers for the last of *words*."""
    line = ["bash", "-c", COMPLETE, str(script), *words]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env={"PATH": path}, cwd=script.parent
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


def test_bash_offers_containers_programs_and_directories(script: Path, tmp_path: Path) -> None:
    bede = tmp_path / "bede"
    bede.write_text("#!/bin/sh\necho CONTAINER NAME BOUND\necho 4f1c web 1G\necho 77aa - 1G\n")
    bede.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert offered(script, "bede", "set", "", path=path) == ["4f1c", "web", "77aa"]
    assert offered(script, "bede", "set", "w", path=path) == ["web"]
    assert "bede" in offered(script, "bede", "vm", "run", "--", "bed", path=path)
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
    """A cgroup can be called anything by whoever may make it, and root presses Tab."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    listed = (
        "CONTAINER NAME BOUND\\nabc web 1M\\n$(touch\\ pwned) x 1M\\n$(touch${IFS}pwned) `id` 1M\\nabd -n 1M"
    )
    (tmp_path / "bede").write_text(f"#!/bin/sh\nprintf '{listed}\\n'\n")
    (tmp_path / "bede").chmod(0o755)
    (tmp_path / "script").write_text(f"{completion._AWK}\n{completion.PREAMBLES[shell]}")
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
