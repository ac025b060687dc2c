# SPDX-License-Identifier: Apache-2.0
"""Podman's hooks are put where Podman looks, and a package's hooks are masked."""

import json
import re
from pathlib import Path

import pytest

from ocihook.engines import edits, podman, programs
from ocihook.errors import InputError
from ocihook.spec import bundle

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/podman"


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A mock of Podman, which reads hooks from the returned list of directories and from Bede's drop-in."""
    listed = [podman.SHARE]
    known = {"append": True}

    def directories(override: str = "") -> list[str]:
        if override:
            return [*listed, "/bede"] if known["append"] else listed
        path = Path(podman._drop_in())
        if not path.exists():
            return listed
        (words,) = re.findall(r"^hooks_dir = \[(.*)\]$", path.read_text(), re.MULTILINE)
        named = re.findall(r'"(.*?)"', words)
        return [*listed, *named] if "append=true" in words else named

    monkeypatch.setattr(podman, "_directories", directories)
    monkeypatch.setattr(programs, "find", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(podman, "version", lambda name: "5.4.2")
    monkeypatch.setattr(podman, "_known", known, raising=False)
    return listed


def carry_out(plan: edits.Plan) -> list[str]:
    return edits.apply(plan.changes())


def package() -> None:
    Path(podman.SHARE).mkdir()
    for stage in bundle.STAGES:
        (Path(podman.SHARE) / podman.name_of(stage)).write_text(podman.hook_file(stage, "/usr/bin/bede-hook"))


@pytest.mark.parametrize("stage", bundle.STAGES)
def test_the_examples_are_what_is_written(stage: str) -> None:
    text = podman.hook_file(stage, "/usr/bin/bede-hook")
    assert (EXAMPLES / podman.name_of(stage)).read_text() == text


@pytest.mark.parametrize("stage", bundle.STAGES)
def test_a_mask_has_what_podman_asks_of_a_hook_and_never_matches(stage: str) -> None:
    entry = json.loads(podman.mask(stage))
    assert entry["version"] == "1.0.0"
    assert Path(entry["hook"]["path"]).exists()
    assert entry["when"] == {"always": False}
    assert entry["stages"] == [stage]


def test_configure_and_unconfigure(host: Path) -> None:
    assert not podman.state().configured
    lines = carry_out(podman.configure(False))
    assert [line.partition(" ")[0] for line in lines] == ["wrote"] * 4
    own = host / "containers/oci/hooks.d"
    assert sorted(path.name for path in own.iterdir()) == sorted(map(podman.name_of, bundle.STAGES))
    conf = host / "containers/containers.conf.d/bede.conf"
    assert conf.read_text().splitlines()[1:] == ["[engine]", f'hooks_dir = ["{own}", {{append=true}}]']
    assert podman.state()[2:5] == (True, True, True)
    assert not podman.configure(False).changes()
    carry_out(podman.unconfigure())
    assert [path for path in host.rglob("*") if path.is_file()] == []
    assert not podman.unconfigure().changes()


def test_a_podman_that_cannot_append_gets_the_whole_list(host: Path, engine: list[str]) -> None:
    podman._known["append"] = False  # type: ignore[attr-defined]
    engine.append("/opt/hooks")
    carry_out(podman.configure(False))
    text = (host / "containers/containers.conf.d/bede.conf").read_text()
    assert f'hooks_dir = ["{podman.SHARE}", "/opt/hooks", "{podman._own()}"]' in text
    assert podman.state().configured
    assert not podman.configure(False).changes()


def test_a_directory_that_podman_reads_already_needs_no_drop_in(host: Path, engine: list[str]) -> None:
    engine.append(podman._own())
    carry_out(podman.configure(False))
    assert not (host / "containers/containers.conf.d").exists()
    assert podman.state().configured
    carry_out(podman.unconfigure())
    assert not podman.state().configured


def test_a_packages_hooks_are_enough_and_can_be_masked(host: Path) -> None:
    package()
    plan = podman.configure(True)
    assert not plan.changes()
    assert len(plan.notes) == 2
    assert podman.state().configured
    carry_out(podman.unconfigure())
    assert not podman.state().configured
    assert not podman.unconfigure().changes()
    carry_out(podman.configure(False))
    assert podman.state().configured
    assert [path for path in host.rglob("*") if path.is_file()] == []


def test_a_mask_that_would_mask_nothing_is_refused(engine: list[str]) -> None:
    package()
    engine.insert(0, podman._own())
    with pytest.raises(InputError, match="cannot disable its hooks"):
        podman.unconfigure()


def test_a_user_has_files_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman.os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    carry_out(podman.configure(False))
    assert (tmp_path / "config/containers/containers.conf.d/bede.conf").exists()
    assert len(list((tmp_path / "config/containers/oci/hooks.d").iterdir())) == 3
    assert podman.state().configured


def test_a_file_of_ours_that_somebody_changed_is_kept(host: Path) -> None:
    carry_out(podman.configure(False))
    path = host / "containers/oci/hooks.d" / podman.name_of("poststop")
    path.write_text(path.read_text().replace(".*", "2G"))
    carry_out(podman.configure(False))
    assert ".*" in path.read_text()
    (kept,) = (host / "containers/oci").glob("bede-poststop.json.bede-*")
    assert "2G" in kept.read_text()


def test_some_hooks_are_not_all(host: Path) -> None:
    carry_out(podman.configure(False))
    (host / "containers/oci/hooks.d" / podman.name_of("poststart")).unlink()
    assert not podman.state().configured
    assert "only 2 of 3" in podman.state().note


@pytest.mark.parametrize(
    "text, expected",
    [
        ("  --hooks-dir stringArray  Set the path (may be set) (default [/a,/b])\n", ["/a", "/b"]),
        (
            "  --hooks-dir strings   Set (default [/usr/share/containers/oci/hooks.d])",
            ["/usr/share/containers/oci/hooks.d"],
        ),
        ("  --other string (default [/x])", []),
    ],
)
def test_hooks_dir_is_read_from_podmans_help(
    text: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(programs, "output", lambda *words: text)
    assert podman._directories() == expected
