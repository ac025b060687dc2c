# SPDX-License-Identifier: Apache-2.0
"""The agent's start."""

from pathlib import Path

import pytest

from ocihook import config
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
