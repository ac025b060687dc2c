# SPDX-License-Identifier: Apache-2.0
"""A machine that does not come up is started once more, and only once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vmlab import hang, machine, qemu, run

Made = Callable[[str], qemu.Machine]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang, "SECONDS", 0.3)
    monkeypatch.setattr(hang, "ANSWER_SECONDS", 0.1)


def test_it_is_started_once_more(
    mock_machine: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = mock_machine(rf"""
if os.path.exists("{tmp_path}/second"):
    say("bede-status", b"ready\n"); say("bede-stdout", b"done\n"); say("bede-status", b"exit 3 5 0 0\n")
open("{tmp_path}/second", "w").close()
time.sleep(60)
""")
    monkeypatch.setattr(run, "prepare", lambda *_, **__: made)
    assert run.run(run.Options(["true"])) == 3
    shown = capfd.readouterr()
    assert shown.out == "done\n"
    assert "did nothing for 0.3 s while it booted; starting it once more" in shown.err


def test_twice_is_too_often(mock_machine: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "prepare", lambda *_, **__: mock_machine("time.sleep(60)"))
    with pytest.raises(machine.NeverUpError):
        run.run(run.Options(["true"]))


def test_a_machine_that_ends_by_itself_is_not(mock_machine: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "prepare", lambda *_, **__: mock_machine("sys.exit(1)"))
    with pytest.raises(machine.MachineError, match="QEMU failed with status 1"):
        run.run(run.Options(["true"]))
