"""daemon.json gets one member, and loses it again."""

import json
from pathlib import Path

import pytest

from ocihook.engines import docker, edits
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
        ('{"runtimes": null}', False),
        ('{"debug": true, "debug": false}', False),
        ('{"runtimes": {"bede": {"path": "/usr/bin/other"}}}', False),
        ('{"runtimes": {"bede": 1}}', False),
        ('{"default-runtime": "nvidia"}', True),
    ],
)
def test_what_is_somebody_elses_or_wrong_is_refused(text: str, default: bool) -> None:
    put(text)
    with pytest.raises(InputError) as refused:
        docker.configure(default)
    assert refused.value.hint
    assert docker.PATH in refused.value.message


def test_a_runtime_of_somebody_elses_is_not_taken_out() -> None:
    put('{"runtimes": {"bede": {"path": "/usr/bin/other"}}}')
    assert not docker.unconfigure().changes()
    assert not docker.state().configured


def test_a_state_that_cannot_be_read_is_told() -> None:
    put("[]")
    assert "not a JSON object" in docker.state().note
