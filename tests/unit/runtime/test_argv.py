# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocihook.runtime import argv


def _parse(line: str) -> argv.Call:
    return argv.parse(line.split())


@pytest.mark.parametrize(
    ("line", "bundle"),
    [
        ("create x", "."),
        ("create --bundle /b x", "/b"),
        ("create --bundle=/b x", "/b"),
        ("create -b /b x", "/b"),
        ("create -b=/b x", "/b"),
        ("create -b/b x", "/b"),
        ("create -bundle /b x", "/b"),
        ("create x --bundle /b", "/b"),
        ("create --bundle /a --bundle /b x", "/b"),
        ("create --bundle create create", "create"),
        ("create --pid-file --bundle --bundle /b x", "/b"),
        ("create --console-socket /s --no-pivot --preserve-fds 3 -b /b x", "/b"),
        ("create x -- --bundle /b", "."),
        ("--root /r --log /l --log-format json --systemd-cgroup create --bundle /b x", "/b"),
        ("--root=create --log=run --debug create --bundle /b x", "/b"),
        ("--root create create -b /b x", "/b"),
        ("--rootless true --criu run --cgroup-manager systemd create -b /b x", "/b"),
        ("--brand-new value create -b /b x", "/b"),
        ("--brand-new create -b /b x", "/b"),
        ("--brand-new=create create -b /b x", "/b"),
    ],
)
def test_create_and_its_bundle(line: str, bundle: str) -> None:
    call = _parse(line)
    assert call.starts
    assert call.command == "create"
    assert call.bundle == bundle


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--version",
        "--log create",
        "--root create state x",
        "state create",
        "delete --force create",
        "exec -b create x run",
        "kill run 9",
        "features",
        "--help",
        "--",
    ],
)
def test_everything_else_passes_straight_through(line: str) -> None:
    assert not _parse(line).starts


def test_run_counts_and_crun_may_name_the_config() -> None:
    call = _parse("run --detach --config other.json -b /b x")
    assert (call.command, call.bundle, call.config) == ("run", "/b", "other.json")
    assert _parse("run -f other.json x").config == "other.json"


@pytest.mark.parametrize(
    ("line", "log", "format", "systemd"),
    [
        ("--log /l --log-format json --systemd-cgroup create x", "/l", "json", True),
        ("--log=/l --log-format=json --systemd-cgroup=false create x", "/l", "json", False),
        ("--cgroup-manager=systemd create x", "", "text", True),
        ("create --log /l x", "", "text", False),
        ("--log /l delete x", "/l", "text", False),
    ],
)
def test_the_flags_that_matter_here(line: str, log: str, format: str, systemd: bool) -> None:
    call = _parse(line)
    assert (call.log, call.log_format, call.systemd) == (log, format, systemd)


_WORDS = st.sampled_from(
    [
        "--root",
        "--log",
        "--bundle",
        "-b",
        "-b=",
        "--bundle=",
        "--x",
        "--",
        "-",
        "--",
        "create",
        "run",
        "state",
        "=",
        "-bx",
        "-f",
        "''",
    ]
)


@given(st.lists(_WORDS | st.text(max_size=4), max_size=10))
def test_no_command_line_is_too_odd(arguments: list[str]) -> None:
    call = argv.parse(arguments)
    assert call.command == "" or call.command in arguments


@given(st.text(), st.text())
def test_a_bundle_may_be_called_anything(bundle: str, id: str) -> None:
    assert argv.parse(["--root", bundle, "create", "--bundle", bundle, id]).bundle == bundle or id.startswith(
        "-"
    )
    assert argv.parse(["create", f"--bundle={bundle}"]).bundle == bundle


@pytest.mark.parametrize(
    "line",
    [
        "exec x sh",
        "exec --tty --user 0 --env A=b -e C=d --cwd=/ x sh -c y",
        "--root /r --log /l exec --process /p --console-socket /c --detach --pid-file /q x",
        "exec -d -t x -- y",
        "exec -- x y",
        "exec --cap CAP_X --preserve-fds 2 x",
    ],
)
def test_exec_and_its_container(line: str) -> None:
    assert (_parse(line).command, _parse(line).container) == ("exec", "x")


@pytest.mark.parametrize(
    "line",
    [
        "create x",
        "run --bundle b x",
        "create --bundle=b --pid-file p --no-pivot x",
        "create -b b -- x",
        "--root r --log l create --console-socket s --preserve-fds 2 -f c.json x",
    ],
)
def test_a_start_and_its_container(line: str) -> None:
    assert _parse(line).container == "x"


def test_exec_without_a_container() -> None:
    assert _parse("exec --tty").container == ""


@pytest.mark.parametrize(
    ("line", "real", "rest"),
    [
        ("--real=/r /etc/bede/bede-runtime-docker create -b /b x", "/r", "create -b /b x"),
        ("--real=r ./bede-runtime-docker --root /x state x", "r", "--root /x state x"),
        ("--real=r create x", "r", "create x"),
        ("--real=r --root=/x state x", "r", "--root=/x state x"),
        ("--real=r", "r", ""),
        ("--root /x --real=r create x", "", "--root /x --real=r create x"),
        ("create x", "", "create x"),
        ("", "", ""),
    ],
)
def test_a_script_names_the_real_runtime_in_its_first_line(line: str, real: str, rest: str) -> None:
    assert argv.of_script(line.split()) == (real, rest.split())
