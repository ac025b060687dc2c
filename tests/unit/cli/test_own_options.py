# SPDX-License-Identifier: Apache-2.0
"""The options of `bede run` end where those of its command begin."""

import pytest

from ocihook.cli import main, run
from ocihook.launch import bound

LOCAL = ("--local", "64M")


def argv(*words: str) -> list[str]:
    """The command that `bede` *words* would run."""
    found: list[str] = main.command_parser(words[0]).parse_args(words[1:]).argv
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["ls", "-la", "/"],
        ["printenv", "--user", "root"],
        ["printenv", "--local", "1M", "--name=x", "-v", "--help"],
        ["sh", "-c", "exit 9", "--", "--"],
        ["-"],
    ],
)
@pytest.mark.parametrize("before", [[], ["--"]])
def test_what_follows_the_command_is_its_own(command: list[str], before: list[str]) -> None:
    assert argv("run", *LOCAL, *before, *command) == command
    assert argv("vm", "run", "--quiet", "--timeout", "9", *before, *command) == command


def test_options_before_it_are_ours_in_every_form() -> None:
    given = main.command_parser("run").parse_args(
        ["--loc", "64M", "--name=study", "-v", "--user", "nobody", "id", "--name"]
    )
    assert (given.local, given.name, given.user, given.verbose) == ("64M", "study", "nobody", True)
    assert given.argv == ["id", "--name"]


def test_a_command_that_begins_with_a_dash_needs_two() -> None:
    assert argv("run", *LOCAL, "--", "-x", "--", "y") == ["-x", "--", "y"]


def test_run_hands_it_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[bound.Job] = []
    monkeypatch.setattr(run.bound, "run", lambda job: jobs.append(job) or 7)
    assert main.main(["run", *LOCAL, "printenv", "--user", "root"]) == 7
    assert (jobs[0].argv, jobs[0].user) == (["printenv", "--user", "root"], None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "ls", *LOCAL), "required: --local. Options go before COMMAND. See bede run --help."),
        (("run", *LOCAL), "required: COMMAND. Options go before COMMAND. See bede run --help."),
        (("run", *LOCAL, "--usr", "root", "ls"), "Options go before COMMAND. See bede run --help."),
        (("vm", "run", "--quite", "ls"), "Options go before COMMAND. See bede vm run --help."),
        (("vm", "run"), "required: COMMAND. Options go before COMMAND. See bede vm run --help."),
    ],
)
def test_a_mistake_is_one_line_with_a_hint(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err
