# SPDX-License-Identifier: Apache-2.0
import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import hosts
import pytest

from ocihook import config
from ocihook.runtime import main as wrapper
from ocihook.state import chosen, records

BIN = Path(__file__).resolve().parents[3] / "bin"
ID = "4f" * 32
BOUND = {"ociVersion": "1.0.2", "annotations": {"bede.local": "128M"}, "process": {"args": ["é", "\u2028"]}}

# A mock of runc, which keeps its arguments and the config.json it was given.
MOCK = """#!/bin/sh
for argument in "$@"; do printf '%s\\n' "$argument"; done > "$MOCK_NOTES/argv"
cp "$MOCK_BUNDLE/config.json" "$MOCK_NOTES/config.json" 2>/dev/null
echo "mock output"
exit 42
"""


class Stage:
    """A directory with a bundle, a mock runtime on PATH, and the wrapper's front door."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bundle = root / "create"
        self.notes = root / "notes"
        self.log = root / "log.json"
        self.path = root / "path"
        self.settings = root / "config.yaml"
        for directory in (self.bundle, self.notes, self.path):
            directory.mkdir()
        self.mock("runc")

    def mock(self, name: str) -> Path:
        program = self.path / name
        program.write_text(MOCK)
        program.chmod(0o755)
        return program

    def configure(self, text: str) -> None:
        self.settings.write_text(text)
        self.settings.chmod(0o644)

    def write(self, value: Any) -> Path:
        file = self.bundle / "config.json"
        file.write_text(value if isinstance(value, str) else json.dumps(value))
        return file

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-IS", str(BIN / "bede-runtime"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.bundle,
            env={
                "PATH": f"relative:{self.path}:/usr/bin:/bin",
                "BEDE_CONFIG": str(self.settings),
                "MOCK_NOTES": str(self.notes),
                "MOCK_BUNDLE": str(self.bundle),
                **environment,
            },
        )

    def create(self) -> "subprocess.CompletedProcess[str]":
        return self.run(
            "--log", str(self.log), "--log-format", "json", "create", "--bundle", str(self.bundle), "x"
        )

    @property
    def seen(self) -> Any:
        return json.loads((self.notes / "config.json").read_text())

    @property
    def argv(self) -> list[str]:
        return (self.notes / "argv").read_text().splitlines()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def _one_line(done: "subprocess.CompletedProcess[str]", code: int) -> str:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("bede-runtime: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_real_runtime_sees_the_hooks_and_its_own_arguments(stage: Stage) -> None:
    stage.write(BOUND)
    arguments = ["--root", "/r s", "--systemd-cgroup", "create", "--bundle", str(stage.bundle), "--", "x"]
    done = stage.run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (42, "mock output\n", "")
    assert stage.argv == arguments
    hooks = stage.seen["hooks"]
    assert sorted(hooks) == ["createRuntime", "poststart", "poststop"]
    assert all(hook[0]["path"] == str(BIN / "bede-hook") for hook in hooks.values())
    assert stage.seen["process"] == BOUND["process"]
    # No fence in the bundle: systemd would later restore its own copy of it.
    assert "linux" not in stage.seen


def test_the_working_directory_is_the_default_bundle(stage: Stage) -> None:
    stage.write(BOUND)
    assert stage.run("run", "x").returncode == 42
    assert "poststop" in stage.seen["hooks"]


def test_the_edit_is_made_once_and_keeps_the_mode(stage: Stage) -> None:
    file = stage.write(BOUND)
    file.chmod(0o640)
    os.chown(file, os.getuid(), os.getgid())
    stage.create()
    first = file.stat()
    assert stat.S_IMODE(first.st_mode) == 0o640
    stage.create()
    assert file.stat().st_ino == first.st_ino
    assert [path.name for path in stage.bundle.iterdir()] == ["config.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_edit_keeps_the_owner(stage: Stage) -> None:
    file = stage.write(BOUND)
    os.chown(file, 1234, 5678)
    stage.create()
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 5678)
    assert "poststop" in file.read_text()


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"annotations": {"other": "x"}}),
        json.dumps({"process": {"args": ["bede.local=1G", "\\u2028"]}}),
        '{"process": {"args": ["\\u0062ede"]}}',
        "not JSON, and the real runtime's to judge",
    ],
)
def test_without_the_annotation_the_very_same_file_passes_through(stage: Stage, text: str) -> None:
    file = stage.write(text)
    before = file.stat()
    assert stage.create().returncode == 42
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_annotation_in_escapes_is_found(stage: Stage) -> None:
    stage.write('{"annotations": {"\\u0062ede\\u002elocal": "128M"}}')
    stage.create()
    assert "hooks" in stage.seen


@pytest.mark.parametrize("arguments", [("state", "x"), ("delete", "--force", "create"), ("--version",), ()])
def test_other_calls_do_not_look_at_any_bundle(stage: Stage, arguments: tuple[str, ...]) -> None:
    file = stage.write(BOUND)
    inode = file.stat().st_ino
    assert stage.run(*arguments).returncode == 42
    assert stage.argv == list(arguments)
    assert file.stat().st_ino == inode


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ({"annotations": {"bede.locl": "1G"}}, 2, "Did you mean bede.local"),
        ({"annotations": {"bede.local": "50%"}}, 2, "--memory"),
        ({"annotations": {"bede.local": 7}}, 2, "not a string"),
        ('{"annotations": {"bede.local": "1G"}', 2, "not JSON"),
        ('["bede."]', 2, "not a JSON object"),
    ],
)
def test_a_mistake_is_one_line_here_and_in_the_runtimes_log(
    stage: Stage, value: object, code: int, message: str
) -> None:
    stage.write(value)
    assert message in _one_line(stage.create(), code)
    entry = json.loads(stage.log.read_text())
    assert entry["level"] == "error"
    assert entry["msg"].startswith("bede: ")
    assert message in entry["msg"]
    assert entry["time"].endswith("Z")
    assert not (stage.notes / "argv").exists()


def test_the_log_is_appended_to_and_never_through_a_link(stage: Stage) -> None:
    stage.write({"annotations": {"bede.x": "1G"}})
    stage.log.write_text("earlier\n")
    stage.create()
    assert stage.log.read_text().startswith("earlier\n{")
    target = stage.root / "target"
    stage.log.rename(target)
    stage.log.symlink_to(target)
    size = target.stat().st_size
    stage.create()
    assert target.stat().st_size == size


def test_a_log_of_text_gets_text(stage: Stage) -> None:
    stage.write({"annotations": {"bede.x": "1G"}})
    stage.run("--log", str(stage.log), "create", "x")
    assert ' level=error msg="bede: ' in stage.log.read_text()


def test_a_missing_bundle_or_config_is_named(stage: Stage) -> None:
    assert "config.json" in _one_line(stage.create(), 5)
    assert "/no/where" in _one_line(stage.run("create", "-b", "/no/where", "x"), 5)


def test_links_are_not_followed(stage: Stage) -> None:
    victim = stage.root / "victim.json"
    victim.write_text(json.dumps(BOUND))
    (stage.bundle / "config.json").symlink_to(victim)
    _one_line(stage.create(), 5)
    link = stage.root / "link"
    link.symlink_to(stage.bundle)
    (stage.bundle / "config.json").unlink()
    stage.write(BOUND)
    _one_line(stage.run("create", "--bundle", str(link), "x"), 5)
    assert json.loads(victim.read_text()) == BOUND
    assert "hooks" not in (stage.bundle / "config.json").read_text()


def test_a_fifo_for_a_config_does_not_hang_the_start(stage: Stage) -> None:
    os.mkfifo(stage.bundle / "config.json")
    stage.configure("runtime: /bin/true\n")
    assert stage.create().returncode == 0


def test_the_configured_runtime_wins_and_crun_is_the_second_choice(stage: Stage) -> None:
    crun = stage.mock("crun")
    crun.write_text("#!/bin/sh\nexit 7\n")
    assert stage.run("state", "x").returncode == 42
    for name in ("crun", str(crun)):
        stage.configure(f"runtime: {name}\n")
        assert stage.run("state", "x").returncode == 7
    stage.settings.unlink()
    (stage.path / "runc").unlink()
    assert stage.run("state", "x", PATH=str(stage.path)).returncode == 7


@pytest.mark.parametrize("link", [True, False])
def test_the_wrapper_never_starts_itself(stage: Stage, link: bool) -> None:
    (stage.path / "runc").unlink()
    if link:
        (stage.path / "runc").symlink_to(BIN / "bede-runtime")
    assert "runc" in _one_line(stage.run("state", "x", PATH=str(stage.path)), 5)
    stage.configure(f"runtime: {BIN}/bede-runtime\n")
    assert "Bede itself" in _one_line(stage.run("state", "x"), 5)


def test_a_runtime_that_cannot_be_run_is_named(stage: Stage) -> None:
    (stage.path / "runc").write_bytes(b"\x7fELF nothing")
    stage.write(BOUND)
    line = _one_line(stage.create(), 5)
    assert os.strerror(errno.ENOEXEC) in line
    assert str(stage.path / "runc") in line


def test_a_mistake_in_the_configuration_names_the_line(stage: Stage) -> None:
    stage.configure("runtime: runc\nfoo: 1\n")
    assert "line 2" in _one_line(stage.run("state", "x"), 2)


@pytest.mark.parametrize(
    ("controllers", "arguments", "fenced"),
    [
        ("cpu memory pids\n", ["create", "x"], True),
        ("cpu memory pids\n", ["--systemd-cgroup", "create", "x"], False),
        ("cpu pids\n", ["create", "x"], False),
        (None, ["create", "x"], False),
    ],
)
def test_the_first_fence_needs_cgroup_v2_and_no_systemd(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    controllers: str | None,
    arguments: list[str],
    fenced: bool,
) -> None:
    file = stage.write(BOUND)
    if controllers is not None:
        (stage.root / "cgroup.controllers").write_text(controllers)
    hosts.redirect(monkeypatch, stage.root, cgroup=stage.root)
    monkeypatch.setattr(config, "PATH", str(stage.settings))
    monkeypatch.setenv("PATH", str(stage.path))
    monkeypatch.chdir(stage.bundle)
    ran: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda path, argv, environ: ran.append(argv))
    wrapper.main([str(BIN / "bede-runtime"), *arguments])
    assert ran == [[str(stage.path / "runc"), *arguments]]
    edited = json.loads(file.read_text())
    assert ("linux" in edited) == fenced
    assert ("--user-high" in edited["hooks"]["createRuntime"][0]["args"]) == fenced
    if fenced:
        assert edited["linux"]["resources"]["unified"] == {"memory.high": str(128 << 20)}


def _script(stage: Stage, real: str) -> Path:
    path = stage.root / "bede-runtime-docker"
    path.write_text(f"#!{BIN / 'bede-runtime'} --real={real}\n# what bede configure says of it\n")
    path.chmod(0o755)
    return path


def test_a_script_puts_another_runtime_behind_for_its_engine_alone(stage: Stage) -> None:
    """The kernel runs the program in the script's first line."""
    other = stage.mock("fake-nvidia-container-runtime")
    (stage.path / "runc").write_text("#!/bin/sh\nexit 1\n")
    stage.write(BOUND)
    stage.configure("runtime: runc\n")
    environment = {
        "PATH": f"{stage.path}:/usr/bin:/bin",
        "BEDE_CONFIG": str(stage.settings),
        "MOCK_NOTES": str(stage.notes),
        "MOCK_BUNDLE": str(stage.bundle),
    }
    arguments = ["--root", "/r s", "create", "--bundle", str(stage.bundle), "x"]
    for real in (str(other), other.name):
        done = subprocess.run(
            [_script(stage, real), *arguments], capture_output=True, text=True, check=False, env=environment
        )
        assert (done.returncode, done.stdout, done.stderr) == (42, "mock output\n", "")
        assert stage.argv == arguments
        assert "poststop" in stage.seen["hooks"]
        (stage.notes / "argv").unlink()


@pytest.mark.parametrize("real", ["/no/such", "no-such", "SELF"])
def test_a_runtime_behind_that_is_not_there_is_one_line(stage: Stage, real: str) -> None:
    script = _script(stage, "runc")
    done = stage.run(f"--real={script if real == 'SELF' else real}", str(script), "state", "x")
    assert "bede configure ENGINE --real" in _one_line(done, 5)


class Patched:
    """Runs the wrapper in this process, on a kernel with memory.node_limit; node 0 is local, 1 is far."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage = stage
        self.root = stage.root / "host"
        self.ran: list[list[str]] = []
        (self.root / "cgroup/system.slice").mkdir(parents=True)
        (self.root / "cgroup/cgroup.controllers").write_text("memory\n")
        (self.root / "cgroup/system.slice/memory.node_limit").touch()
        (self.root / "node").mkdir()
        (self.root / "node/has_memory").write_text("0-1\n")
        for rank in (0, 1):
            (self.root / f"tiers/memory_tier{rank}").mkdir(parents=True)
            (self.root / f"tiers/memory_tier{rank}/nodelist").write_text(f"{rank}\n")
        hosts.redirect(monkeypatch, self.root)
        monkeypatch.setattr(config, "PATH", str(stage.settings))
        monkeypatch.delenv("BEDE_CONFIG", raising=False)
        monkeypatch.setenv("PATH", str(stage.path))
        monkeypatch.setattr(os, "execve", lambda path, argv, environ: self.ran.append(argv))

    def one_node(self) -> None:
        (self.root / "node/has_memory").write_text("0\n")
        (self.root / "tiers/memory_tier1/nodelist").write_text("\n")

    def create(self, *options: str) -> int | None:
        arguments = [
            "--log",
            str(self.stage.log),
            *options,
            "create",
            "--bundle",
            str(self.stage.bundle),
            "x",
        ]
        return wrapper.main([str(BIN / "bede-runtime"), *arguments])

    @property
    def edited(self) -> Any:
        return json.loads((self.stage.bundle / "config.json").read_text())


@pytest.fixture
def patched(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Patched:
    return Patched(stage, monkeypatch)


@pytest.mark.parametrize("options", [(), ("--systemd-cgroup",)])
def test_a_patched_kernel_gets_limits_and_no_hooks(patched: Patched, options: tuple[str, ...]) -> None:
    patched.stage.write(BOUND)
    patched.create(*options)
    assert len(patched.ran) == 1
    assert "hooks" not in patched.edited
    unified = patched.edited["linux"]["resources"]["unified"]
    assert unified == {"memory.node_limit": f"N0={128 << 20}"}
    inode = (patched.stage.bundle / "config.json").stat().st_ino
    patched.create(*options)
    assert len(patched.ran) == 2
    assert (patched.stage.bundle / "config.json").stat().st_ino == inode


def test_a_patched_kernel_also_for_a_bundle_of_a_stock_one(patched: Patched) -> None:
    patched.stage.write(BOUND)
    (patched.root / "cgroup/system.slice/memory.node_limit").unlink()
    patched.create()
    assert "poststop" in patched.edited["hooks"]
    (patched.root / "cgroup/system.slice/memory.node_limit").touch()
    patched.create()
    assert "hooks" not in patched.edited
    assert patched.edited["linux"]["resources"]["unified"] == {"memory.node_limit": f"N0={128 << 20}"}
    (patched.root / "cgroup/system.slice/memory.node_limit").unlink()
    patched.create()
    assert "poststop" in patched.edited["hooks"]
    assert patched.edited["linux"]["resources"]["unified"] == {"memory.high": str(128 << 20)}


def _shared(root: Path, populated: bool = True) -> None:
    (root / "shared").mkdir(exist_ok=True)
    (root / "shared/cgroup.events").write_text(f"populated {int(populated)}\nfrozen 0\n")


SHARED = [
    ({"cgroupsPath": "/shared"}, ()),
    ({"cgroupsPath": "wherever"}, ()),
    ({}, ("--cgroup-manager=disabled",)),
    ({}, ("--cgroup-manager", "disabled")),
]


@pytest.mark.parametrize(("linux", "options"), SHARED)
def test_what_is_not_the_containers_alone_is_left_to_the_hook(
    patched: Patched, linux: dict[str, Any], options: tuple[str, ...]
) -> None:
    patched.stage.write({**BOUND, "linux": linux})
    patched.create()
    _shared(patched.root / "cgroup")
    for kernel in ("patched", "stock"):
        if kernel == "stock":
            (patched.root / "cgroup/system.slice/memory.node_limit").unlink()
        patched.create(*options)
        assert patched.edited["hooks"]["createRuntime"][0]["args"] == ["bede-hook", "createRuntime"]
        assert not patched.edited["linux"].get("resources", {}).get("unified")


def test_a_fence_of_an_earlier_edit_is_taken_back(patched: Patched) -> None:
    (patched.root / "cgroup/system.slice/memory.node_limit").unlink()
    _shared(patched.root / "cgroup", populated=False)
    unified = {"memory.high": str(1 << 30)}
    patched.stage.write({**BOUND, "linux": {"cgroupsPath": "/shared", "resources": {"unified": unified}}})
    patched.create()
    assert patched.edited["linux"]["resources"]["unified"] == {"memory.high": str(128 << 20)}
    _shared(patched.root / "cgroup")
    patched.create()
    assert patched.edited["linux"]["resources"]["unified"] == unified
    assert patched.edited["hooks"]["createRuntime"][0]["args"] == ["bede-hook", "createRuntime"]


@pytest.mark.parametrize("linux", [{"cgroupsPath": "/shared"}, {"cgroupsPath": "/new"}, {}])
def test_a_cgroup_without_processes_is_the_containers(patched: Patched, linux: dict[str, Any]) -> None:
    _shared(patched.root / "cgroup", populated=False)
    patched.stage.write({**BOUND, "linux": linux})
    patched.create()
    assert patched.edited["linux"]["resources"]["unified"] == {"memory.node_limit": f"N0={128 << 20}"}


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"linux": {"cgroupsPath": 7}}, 2, "cgroupsPath"),
        ({"annotations": {"bede.local": "8M", "bede.local.1": "8M"}}, 2, "node 1 is not a local node"),
        ({"annotations": {"bede.local": "50%"}}, 2, "there is none"),
        ({"linux": {"resources": {"cpu": {"mems": "0"}}}}, 3, "cpuset has no far node"),
        ({"linux": {"resources": {"unified": {"memory.node_limit": "x"}}}}, 2, "cannot read"),
    ],
)
def test_what_a_patched_kernel_cannot_hold_is_refused_before_the_start(
    patched: Patched, capfd: pytest.CaptureFixture[str], changes: dict[str, Any], code: int, message: str
) -> None:
    file = patched.stage.write({**BOUND, **changes})
    before = file.read_text()
    assert patched.create() == code
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert message in patched.stage.log.read_text()
    assert patched.ran == []
    assert file.read_text() == before


def test_a_bound_that_holds_nothing_back_is_told_by_the_wrapper_and_started(
    patched: Patched, capfd: pytest.CaptureFixture[str]
) -> None:
    """A patched kernel needs no hooks, so the wrapper prints the warning."""
    patched.stage.write({**BOUND, "linux": {"resources": {"memory": {"limit": 64 << 20}}}})
    patched.create()
    assert len(patched.ran) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line == (
        "bede-runtime: the container: its bound of 128M has no effect: its memory limit is 64M."
        " Ask for less than that."
    )
    assert "level=warning" in patched.stage.log.read_text()
    assert patched.edited["linux"]["resources"]["unified"] == {"memory.node_limit": f"N0={128 << 20}"}


@pytest.mark.parametrize("warn", [True, False])
def test_a_patched_kernel_without_far_memory(
    patched: Patched, capfd: pytest.CaptureFixture[str], warn: bool
) -> None:
    patched.stage.write(BOUND)
    patched.create()
    patched.one_node()
    patched.stage.configure(f"on_unsupported: {'warn' if warn else 'refuse'}\n")
    assert patched.create() == (None if warn else 3)
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert ("runs without a bound" in err) == warn
    assert "one NUMA node" in err
    assert f"level={'warning' if warn else 'error'} msg=" in patched.stage.log.read_text()
    assert len(patched.ran) == (2 if warn else 1)
    unified = patched.edited["linux"]["resources"]["unified"]
    assert ("memory.node_limit" in unified) != warn


@pytest.mark.parametrize("broken", [True, False])
def test_a_bound_that_was_set_is_that_of_the_next_start(
    patched: Patched, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    monkeypatch.setattr(records, "RUN", str(patched.root / "run"))
    chosen.write(ID, chosen.Chosen(32 << 20))
    if broken:
        (patched.root / "run/bounds" / ID).write_text("{")
    patched.stage.write(BOUND)
    wrapper.main([str(BIN / "bede-runtime"), "create", "--bundle", str(patched.stage.bundle), ID])
    bound = 128 << 20 if broken else 32 << 20
    assert patched.edited["linux"]["resources"]["unified"] == {"memory.node_limit": f"N0={bound}"}
    assert ("bede set gave to container" in capfd.readouterr().err) == broken
    patched.create()
    assert patched.edited["linux"]["resources"]["unified"]["memory.node_limit"] == f"N0={128 << 20}"


def test_two_equal_nodes_need_the_configuration(patched: Patched, capfd: pytest.CaptureFixture[str]) -> None:
    patched.stage.write(BOUND)
    (patched.root / "tiers/memory_tier0/nodelist").write_text("0-1\n")
    (patched.root / "tiers/memory_tier1/nodelist").write_text("\n")
    assert patched.create() == 3
    assert "far_nodes" in capfd.readouterr().err
    patched.stage.configure("far_nodes: [0]\n")
    patched.create()
    assert patched.edited["linux"]["resources"]["unified"] == {"memory.node_limit": f"N1={128 << 20}"}


def test_a_bug_is_one_line(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(path: str | None = None) -> config.Config:
        raise ZeroDivisionError("x")

    monkeypatch.delenv("BEDE_DEBUG", raising=False)
    monkeypatch.setattr(config, "load", broken)
    assert wrapper.main(["bede-runtime", "state", "x"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("bede-runtime: internal error: ZeroDivisionError")
    assert err.count("\n") == 1
