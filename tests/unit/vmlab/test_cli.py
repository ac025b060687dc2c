# SPDX-License-Identifier: Apache-2.0
"""`bede` and `bede vm`: arguments in, one line out."""

import sys
from pathlib import Path

import pytest

from ocihook import errors
from ocihook.cli import main as cli
from ocihook.cli import vm
from vmlab import run as vm_run
from vmlab.progress import Progress


def test_no_command_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == errors.EXIT_INPUT
    assert "commands:" in capsys.readouterr().err


def test_an_error_is_one_line_with_its_notes_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        error = errors.MachineError("the machine was lost", "Look at the console")
        error.add_note("last words")
        raise error

    monkeypatch.setattr(vm, "run", fail)
    assert cli.main(["vm", "build"]) == errors.EXIT_MACHINE
    assert capsys.readouterr().err == "last words\nbede: the machine was lost. Look at the console.\n"


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(vm, "run", interrupted)
    assert cli.main(["vm", "build"]) == 130


def test_vm_run_takes_the_command_after_its_own_options(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[vm_run.Options] = []

    def run(options: vm_run.Options) -> int:
        seen.append(options)
        return 42

    monkeypatch.setattr(vm_run, "run", run)
    args = ["vm", "run", "--kernel", "debian-7.3", "--memory", "1G,512M", "--timeout", "5", "--out", "o"]
    args += ["--bare", "--cpus", "4", "--packages", "g++,libstdc++6,fio"]
    assert cli.main([*args, "--", "sh", "-c", "exit 42", "--kernel"]) == 42
    assert seen[0].argv == ["sh", "-c", "exit 42", "--kernel"]
    assert (seen[0].kernel, seen[0].memory, seen[0].timeout) == ("debian-7.3", [1024, 512], 5)
    assert (seen[0].out, seen[0].bare, seen[0].cpus) == (Path("o"), True, 4)
    assert seen[0].packages == ("g++", "libstdc++6", "fio")


def test_vm_shell_takes_what_a_machine_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[vm_run.Options] = []
    monkeypatch.setattr(vm.vm_shell, "shell", lambda options: seen.append(options) or 0)
    assert cli.main(["vm", "shell", "--out", "o", "--packages", "fio"]) == 0
    assert (seen[0].out, seen[0].packages) == (Path("o"), ("fio",))


NO_PACKAGES = (
    "",
    "a",
    "x-",
    "-x",
    "+x",
    "X11",
    "a b",
    "a;b",
    "../a",
    "a/trixie",
    "a=1",
    "fio,",
    "fio,,gdb",
    "a\n",
)


@pytest.mark.parametrize(
    "bad",
    [
        *(["--memory", "0M"], ["--memory", "12"], ["--timeout", "-1"], ["--reboots", "-1"], ["--cpus", "-2"]),
        *([f"--packages={names}"] for names in NO_PACKAGES),
    ],
)
def test_bad_arguments(bad: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["vm", "run", *bad, "--", "true"]) == errors.EXIT_INPUT
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), err[:6]) == ("", 1, "bede: ")
    assert err.endswith(". See bede vm run --help.\n")


def test_what_is_passed_into_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDE_X", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("SECRET", "1")
    env = vm_run.environment(vm_run.Options([]))
    assert env["BEDE_X"] == env["NO_COLOR"] == "1"
    assert env["HOME"] == "/root"
    assert "SECRET" not in env


def test_a_share_that_is_no_directory(tmp_path: Path) -> None:
    with pytest.raises(errors.InputError, match="not a directory"):
        vm_run.prepare(vm_run.Options(["true"], share=tmp_path / "no"), tmp_path, Progress(quiet=True))


def test_a_subcommand_is_imported_only_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ocihook.cli.vm", raising=False)
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "ocihook.cli.vm" not in sys.modules
