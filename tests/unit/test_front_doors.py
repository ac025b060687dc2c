# SPDX-License-Identifier: Apache-2.0
"""The programs in bin/ find the package from wherever they are installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INPUT = b"no state"


@pytest.mark.parametrize("library", ["lib/bede", f"lib/python3.{sys.version_info[1]}/site-packages"])
def test_an_installed_hook_finds_its_library(tmp_path: Path, library: str) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin/bede-hook", tmp_path / "bin")
    (tmp_path / library).mkdir(parents=True)
    (tmp_path / library / "ocihook").symlink_to(ROOT / "ocihook")
    link = tmp_path / "elsewhere"
    link.symlink_to("bin/bede-hook")
    done = subprocess.run(
        [sys.executable, "-IS", link, "poststop"], input=INPUT, capture_output=True, cwd="/", check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"bede-hook: the container's state is not JSON")


def test_a_hook_next_to_nothing_does_not_take_a_package_from_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin/bede-hook", tmp_path / "bin")
    (tmp_path / "evil/ocihook").mkdir(parents=True)
    (tmp_path / "evil/ocihook/__init__.py").write_text("print('taken')")
    done = subprocess.run(
        [sys.executable, "-IS", tmp_path / "bin/bede-hook", "poststop"],
        input=INPUT,
        capture_output=True,
        cwd=tmp_path / "evil",
        env={"PYTHONPATH": str(tmp_path / "evil")},
        check=False,
    )
    assert b"taken" not in done.stdout
    assert done.returncode != 0


@pytest.mark.parametrize("name", ["bede-hook", "bede-runtime"])
def test_the_front_doors_start_the_short_way(name: str) -> None:
    program = ROOT / "bin" / name
    lines = program.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/python3 -IS"
    assert len(lines) < 25
    assert program.stat().st_mode & 0o111 == 0o111
