# SPDX-License-Identifier: Apache-2.0
"""The agent's start."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ocihook import config, native
from ocihook.agent import main


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("far_nodes: [1]\n", 0o644, ""),
        ("far_nodes [1]\n", 0o644, "not of the form key: value"),
        ("\0", 0o644, "config.yaml"),
        ("far_nodes: [1]\n", 0o666, "can be changed by others"),
    ],
)
def test_a_configuration_with_a_mistake_leaves_no_fence_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    mode: int,
    words: str,
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    path.chmod(mode)
    monkeypatch.setattr(config, "PATH", str(path))
    monkeypatch.delenv("BEDE_CONFIG", raising=False)
    assert main._settings().far_nodes == (() if words else (1,))
    err = capsys.readouterr().err
    assert err.count("\n") == (1 if words else 0)
    assert words in err


@pytest.mark.parametrize("samples", [False, True])
def test_the_capability_for_samples_is_kept_only_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch, samples: bool
) -> None:
    kept: list[list[str]] = []
    limits = SimpleNamespace(limit=lambda *names: kept.append(list(names)))
    names = ("CAP_SYS_NICE", "CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE", "CAP_PERFMON")
    sets = dict.fromkeys(("capbset", "cap_effective", "cap_permitted"), limits)
    calls = dict.fromkeys(("set_name", "set_no_new_privs"), lambda _: None)
    prctl = SimpleNamespace(**sets, **calls, **{name: name for name in names})
    monkeypatch.setitem(sys.modules, "prctl", prctl)  # type: ignore[arg-type]
    monkeypatch.setattr(native, "heat_takes_perfmon", lambda: samples)
    main._confine()
    assert kept == [list(names if samples else names[:3])] * 3
