# SPDX-License-Identifier: Apache-2.0
"""One member is added to daemon.json and removed again."""

import json
from pathlib import Path

import pytest

from ocihook.engines import docker, edits, programs, real
from ocihook.errors import InputError

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/docker/daemon.json"
OTHERS = """{
    "log-driver": "journald",   "live-restore": true,
    "runtimes": {
        "kata": {"path": "/opt/kata"}
    }
}
"""


def put(text: str) -> Path:
    path = Path(docker.PATH)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def carry_out(plan: edits.Plan) -> list[str]:
    return edits.apply(plan.changes())


def test_the_example_is_what_is_written_where_nothing_is() -> None:
    carry_out(docker.configure(False))
    assert Path(docker.PATH).read_text() == EXAMPLE.read_text()
    assert docker.state()[3:5] == (True, False)
    assert not docker.configure(False).changes()
    carry_out(docker.unconfigure())
    assert not Path(docker.PATH).exists()
    assert [path.name for path in Path(docker.PATH).parent.iterdir()] == []


def test_an_empty_file_is_as_none() -> None:
    path = put("\n")
    carry_out(docker.configure(True))
    assert json.loads(path.read_text())["default-runtime"] == "bede"
    assert docker.state()[3:5] == (True, True)
    assert not docker.configure(False).changes()


@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("text", [OTHERS, OTHERS.replace("\n", "\r\n"), "{}", "{\n\n}\n", '{"debug": true}'])
def test_what_others_wrote_comes_back_byte_for_byte(text: str, default: bool) -> None:
    path = put(text)
    text = path.read_bytes().decode()
    (line,) = carry_out(docker.configure(default))
    data = json.loads(path.read_text())
    assert data["runtimes"]["bede"] == {"path": "/usr/bin/bede-runtime"}
    assert data.get("default-runtime") == ("bede" if default else None)
    (kept,) = path.parent.glob("daemon.json.bede-*")
    assert str(kept) in line
    assert kept.read_bytes().decode() == text
    assert not docker.configure(default).changes()
    plan = docker.unconfigure()
    assert len(plan.notes) == 1
    carry_out(plan)
    assert path.read_bytes().decode() == text
    assert not docker.unconfigure().changes()


def test_a_newer_edit_is_kept_by_unconfigure() -> None:
    path = put(OTHERS)
    carry_out(docker.configure(False))
    path.write_text(path.read_text().replace("journald", "local"))
    carry_out(docker.unconfigure())
    assert path.read_text() == OTHERS.replace("journald", "local")


def test_our_runtime_follows_where_bede_is() -> None:
    path = put('{"runtimes": {"bede": {"path": "/opt/bede/bede-runtime", "runtimeArgs": []}}}')
    carry_out(docker.configure(False))
    assert path.read_text() == '{"runtimes": {"bede": {"path": "/usr/bin/bede-runtime", "runtimeArgs": []}}}'


def test_runc_as_the_default_by_name_gives_way() -> None:
    path = put('{"default-runtime": "runc"}')
    assert docker.configure(False).changes()
    carry_out(docker.configure(True))
    assert json.loads(path.read_text())["default-runtime"] == "bede"


@pytest.mark.parametrize(
    "text, default",
    [
        ('{"runtimes": ', False),
        ("[]", False),
        ('{"runtimes": []}', False),
        ('{"debug": true, "debug": false}', False),
        ('{"runtimes": {"bede": {"path": "/usr/bin/other"}}}', False),
        ('{"runtimes": {"bede": 1}}', False),
        ('{"default-runtime": "kata"}', True),
        ('{"default-runtime": "kata", "runtimes": {"kata": {"runtimeType": "io.containerd.kata.v2"}}}', True),
        ('{"default-runtime": "kata", "runtimes": {"kata": {"path": "/k", "runtimeArgs": ["-x"]}}}', True),
    ],
)
def test_what_is_somebody_elses_or_wrong_is_refused(text: str, default: bool) -> None:
    put(text)
    with pytest.raises(InputError) as refused:
        docker.configure(default)
    assert refused.value.hint
    assert docker.PATH in refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        "null\n",
        '{"runtimes": null}',
        '{"runtimes": {"bede": null}}',
        '{"default-runtime": null, "runtimes": null}',
        '{"default-runtime": "", "debug": null}',
    ],
)
def test_null_is_as_nothing(text: str) -> None:
    path = put(text)
    assert not docker.unconfigure().changes()
    assert not docker.state().configured
    carry_out(docker.configure(True))
    assert docker.state()[3:5] == (True, True)
    assert not docker.configure(False).changes()
    carry_out(docker.unconfigure())
    assert not path.exists() or "bede" not in path.read_text()
    assert not docker.state().configured


def test_a_runtime_of_somebody_elses_is_not_taken_out() -> None:
    put('{"runtimes": {"bede": {"path": "/usr/bin/other"}}}')
    assert not docker.unconfigure().changes()
    assert not docker.state().configured


def test_a_state_that_cannot_be_read_is_told() -> None:
    put("[]")
    assert "not a JSON object" in docker.state().note


NVIDIA = """{
    "default-runtime": "nvidia",
    "runtimes": {
        "nvidia": {"args": [], "path": "/opt/fake/nvidia-container-runtime"},
        "other": {"path": "other-runtime"},
        "kata": {"runtimeType": "io.containerd.kata.v2"}
    }
}
"""


def handler() -> str:
    return str(json.loads(Path(docker.PATH).read_text())["runtimes"]["bede"]["path"])


def first_line() -> str:
    script = Path(real.script("docker"))
    assert script.stat().st_mode & 0o777 == 0o755
    return script.read_text().splitlines()[0]


@pytest.mark.parametrize("default", [False, True])
def test_a_default_runtime_that_is_another_wrapper_goes_behind(default: bool) -> None:
    """Otherwise containers under bede would silently lack what that runtime does for every container."""
    path = put(NVIDIA)
    plan = docker.configure(default)
    (note,) = plan.notes
    assert "nvidia (/opt/fake/nvidia-container-runtime)" in note
    assert real.script("docker") in note
    carry_out(plan)
    assert handler() == real.script("docker")
    assert first_line() == "#!/usr/bin/bede-runtime --real=/opt/fake/nvidia-container-runtime"
    assert json.loads(path.read_text())["default-runtime"] == ("bede" if default else "nvidia")
    assert docker.state()[3:5] == (True, default)
    assert docker.state().behind == "nvidia (/opt/fake/nvidia-container-runtime)"
    assert docker.state().lost == ""
    assert not docker.configure(False).changes()
    assert not docker.configure(default).changes()
    carry_out(docker.unconfigure())
    assert path.read_text() == NVIDIA
    assert not Path(real.script("docker")).exists()
    assert not docker.unconfigure().changes()


def test_it_is_told_where_it_is_not_behind_and_a_second_run_mends_it() -> None:
    put(NVIDIA.replace('"other": {', '"bede": {"path": "/usr/bin/bede-runtime"}, "other": {'))
    assert docker.state()[3:5] == (True, False)
    assert docker.state().lost == "nvidia"
    carry_out(docker.configure(False))
    assert handler() == real.script("docker")
    assert docker.state().lost == ""


def test_any_runtime_can_be_put_behind_and_stays_there() -> None:
    put(NVIDIA)
    carry_out(docker.configure(True, "other"))
    assert first_line() == "#!/usr/bin/bede-runtime --real=other-runtime"
    assert not docker.configure(False).changes()
    carry_out(docker.configure(False, "runc"))
    assert first_line() == "#!/usr/bin/bede-runtime --real=runc"
    assert not docker.configure(False).changes()
    assert docker.state().lost == ""
    carry_out(docker.unconfigure())
    assert Path(docker.PATH).read_text() == NVIDIA


@pytest.mark.parametrize("wanted", ["no-such", "kata", "bede"])
def test_what_is_no_runtime_to_start_is_refused(wanted: str) -> None:
    put(NVIDIA)
    with pytest.raises(InputError) as refused:
        docker.configure(False, wanted)
    assert wanted in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("default", ["kata", "io.containerd.kata.v2"])
def test_a_default_that_cannot_go_behind_is_told(default: str) -> None:
    put(NVIDIA.replace('"nvidia",', f'"{default}",'))
    plan = docker.configure(False)
    assert "do without the default runtime of docker" in plan.notes[0]
    carry_out(plan)
    assert handler() == "/usr/bin/bede-runtime"
    assert not Path(real.script("docker")).exists()


def test_what_bede_runtime_finds_by_itself_needs_no_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda name: "/opt/fake/nvidia-container-runtime")
    put(NVIDIA)
    assert docker.configure(False).notes == ()
    carry_out(docker.configure(False))
    assert handler() == "/usr/bin/bede-runtime"
    assert docker.state().lost == ""


def test_a_script_that_is_gone_is_told_and_made_anew() -> None:
    put(NVIDIA)
    carry_out(docker.configure(False))
    Path(real.script("docker")).unlink()
    state = docker.state()
    assert not state.configured
    assert state.error is not None
    assert state.error.line("") == f": {real.script('docker')} is not there. Run bede configure docker."
    carry_out(docker.configure(False))
    assert first_line()
    assert docker.state().error is None


def test_a_script_stays_as_long_as_a_container_is_to_be_stopped_by_it(host: Path) -> None:
    put(NVIDIA)
    carry_out(docker.configure(False))
    task = host.parent / "tasks/x/runtime"
    task.parent.mkdir(parents=True)
    task.write_text(real.script("docker"))
    with pytest.raises(InputError, match="stops them by it"):
        docker.configure(False, "other")
    plan = docker.unconfigure()
    assert any("stays while" in note for note in plan.notes)
    carry_out(plan)
    assert Path(docker.PATH).read_text() == NVIDIA
    assert first_line() == "#!/usr/bin/bede-runtime --real=/opt/fake/nvidia-container-runtime"
    assert not docker.unconfigure().changes()
    task.unlink()
    carry_out(docker.unconfigure())
    assert not Path(real.script("docker")).exists()


def test_what_a_script_said_that_only_stays_for_its_containers_is_forgotten(host: Path) -> None:
    text = '{"runtimes": {"other": {"path": "/opt/other"}}}'
    path = put(text)
    carry_out(docker.configure(True, "other"))
    task = host.parent / "tasks/x/runtime"
    task.parent.mkdir(parents=True)
    task.write_text(real.script("docker"))
    plan = docker.configure(False, "runc")
    assert any("stays while" in note for note in plan.notes)
    carry_out(plan)
    assert handler() == "/usr/bin/bede-runtime"
    assert first_line() == "#!/usr/bin/bede-runtime --real=/opt/other"
    assert not docker.configure(False).changes()
    carry_out(docker.unconfigure())
    assert path.read_text() == text


def test_conmon_tells_of_the_script_as_well(host: Path) -> None:
    command = host.parent / "proc/7/cmdline"
    command.parent.mkdir(parents=True)
    command.write_text(f"/usr/bin/conmon\0-r\0{real.script('crio')}\0-s\0")
    assert real.is_used("crio")
    assert not real.is_used("docker")


@pytest.mark.parametrize("path", ["/x" * 200, "/opt/a\nb", "/opt/trailing "])
def test_a_path_that_no_first_line_can_hold_is_refused(path: str) -> None:
    put(json.dumps({"default-runtime": "odd", "runtimes": {"odd": {"path": path}}}))
    with pytest.raises(InputError, match="first line") as refused:
        docker.configure(False)
    assert refused.value.hint
