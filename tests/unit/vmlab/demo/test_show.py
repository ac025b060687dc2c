# SPDX-License-Identifier: Apache-2.0
"""The machine's output becomes a story, files, a verdict and an exit status."""

import io
import json
from pathlib import Path

import pytest

from ocihook.errors import AccessError, InputError, MachineError
from vmlab.demo import picture, sampler, show, view
from vmlab.demo.series import MIB

DONE = {"status": 0, "loaded": show.KEYS, "good": show.KEYS, "evicted": 0, "ended": 3.0}


def told(*chunks: bytes) -> show.Story:
    story = show.Story()
    state = view.State("t", 128 * MIB, 400 * MIB)
    stream = show.Stream(story, view.View(io.StringIO(), state, lambda: 80, False, False))
    for chunk in chunks:
        assert stream.write(chunk) == len(chunk)
    return story


def event(at: float, **what: object) -> bytes:
    return json.dumps({"at": at} | what).encode() + b"\n"


def rows(*local: int) -> bytes:
    lines = [f"{i},{size * MIB},{100 * MIB},0,0,0\n" for i, size in enumerate(local)]
    return (sampler.HEADER + "\n" + "".join(lines)).encode()


def test_lines_may_come_in_any_pieces() -> None:
    whole = event(0.1, stage="loading") + rows(64, 126, 127) + event(3.1, done=DONE)
    for size in (1, 7, len(whole)):
        story = told(*(whole[i : i + size] for i in range(0, len(whole), size)))
        assert [sample.local // MIB for sample in story.samples] == [64, 126, 127]
        assert story.stages == [(0.1, "loading")]
        assert story.workload is not None and story.workload.ok


@pytest.mark.parametrize(
    "line", [b"{\n", b"hello\n", b'{"done": {"x": 1}}\n', b'{"stage": "x"}\n', b"\xff\n"]
)
def test_nonsense_is_a_lost_machine_and_no_traceback(line: bytes) -> None:
    with pytest.raises(MachineError):
        told(line)


@pytest.mark.parametrize(
    ("local", "done", "status"),
    [
        ((126, 127, 126), DONE, 0),
        ((126, 140, 126), DONE, 1),
        ((126, 127, 126), DONE | {"good": 1}, 1),
        ((126, 127, 126), None, 1),
    ],
)
def test_conclusion(
    local: tuple[int, ...],
    done: dict[str, object] | None,
    status: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = told(rows(*local), event(3.1, done=done) if done else b"")
    options = show.Options("debian-6.12", "two-tier", into=tmp_path)
    assert show.conclude(options, story, 128 * MIB) == status
    name = "redis-128M-two-tier-debian-6.12"
    assert (tmp_path / f"{name}.csv").read_text().startswith(sampler.HEADER)
    assert (tmp_path / f"{name}.png").exists() is picture.possible()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("failed: " if status else "held: ")


def test_machines_do_not_overwrite_each_others_pictures(tmp_path: Path) -> None:
    story = told(rows(126), event(3.1, done=DONE))
    machines = [("debian-6.12", "two-tier"), ("debian-6.12", "two-socket"), ("bede-7.3", "two-tier")]
    for machine in machines:
        show.conclude(show.Options(*machine, into=tmp_path), story, 128 * MIB)
    assert len(list(tmp_path.glob("*.csv"))) == len(machines)


def test_a_directory_that_cannot_be_made_is_told_before_the_boot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AccessError):
        show.run(show.Options("debian-6.12", "two-tier", into=tmp_path / "file" / "demo"))


@pytest.mark.parametrize("bound", ["1M", "50%", "much"])
def test_a_bound_that_makes_no_sense_here_is_told_before_the_boot(bound: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        show.run(show.Options("debian-6.12", "two-tier", bound, into=tmp_path / "demo"))
    assert not (tmp_path / "demo").exists()


def test_what_the_mover_cost_is_told_where_there_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = told(rows(126, 127, 126), event(3.1, done=DONE | {"mover": 0.584}))
    assert show.conclude(show.Options("debian-6.12", "two-socket", into=tmp_path), story, 128 * MIB) == 0
    *_, mover, last = capsys.readouterr().out.splitlines()
    assert mover == "the mover's processor time: 0.58 s"
    assert last.startswith("held: ")


def test_far_nodes_are_named_where_the_firmware_does_not() -> None:
    assert show.named("two-tier") == show.named("three-node") == []
    assert show.named("two-socket") == ["1"]


@pytest.mark.parametrize("topology", ["single", "none"])
def test_a_topology_without_far_memory_is_refused_before_the_boot(topology: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        show.run(show.Options("debian-6.12", topology, into=tmp_path / "demo"))
