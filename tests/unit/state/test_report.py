# SPDX-License-Identifier: Apache-2.0
"""A user sees a hook's message, whatever the runtime does with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

CHILD = "from ocihook.state import report; report.{}('bede-hook: what. do this.')"


def run_runtime(how: str, log: Path, stderr: str) -> subprocess.CompletedProcess[str]:
    """Run a runtime with a hook that prints a message; *stderr* is the hook's standard error."""
    runtime = f"""
import os, subprocess, sys
subprocess.run([sys.executable, "-c", {CHILD.format(how)!r}], stderr={stderr})
"""
    command = [sys.executable, "-c", runtime, f"--log={log}"]
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).resolve().parents[3]))
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def test_failure_goes_through_a_runtime_that_hides_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    done = run_runtime("failure", log, "subprocess.DEVNULL")
    assert done.stderr == "bede-hook: what. do this.\n"
    assert json.loads(log.read_text())["msg"] == "bede-hook: what. do this."


def test_failure_is_said_once_where_the_runtime_listens(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    done = run_runtime("failure", log, "None")
    assert done.stderr == "bede-hook: what. do this.\n"
    assert log.read_text() == ""


def test_warning_is_said_once_to_the_runtimes_own_stderr(tmp_path: Path) -> None:
    for stderr in ("None", "subprocess.PIPE", "subprocess.DEVNULL"):
        done = run_runtime("warning", tmp_path / "log", stderr)
        assert done.stderr == "bede-hook: what. do this.\n"
    assert not (tmp_path / "log").exists()
