# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
from pathlib import Path

import hosts
import pytest

from ocihook.cgroup import process
from ocihook.errors import InputError

REST = " ".join(["S", *map(str, range(4, 22)), "987654", *map(str, range(23, 53))])


@pytest.mark.parametrize("comm", ["sh", "a b", "a) S 1 (b", ")", "((("])
def test_the_start_time_survives_any_program_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comm: str
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text(f"7 ({comm}) {REST}\n")
    hosts.redirect(monkeypatch, tmp_path, proc=tmp_path)
    assert process.start_time(7) == 987654
    assert process.is_same(7, 987654)
    assert not process.is_same(7, 987653)
    assert process.start_time(8) is None


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.start_time(child.pid) is None
    child.wait()
    with pytest.raises(InputError, match="has ended"):
        process.identity(child.pid)


def test_this_process_is_itself() -> None:
    start, namespaces = process.identity(os.getpid())
    assert process.is_same(os.getpid(), start)
    assert set(namespaces) == {"pid", "cgroup", "mnt"}
    assert namespaces["mnt"] == int(os.readlink("/proc/self/ns/mnt")[5:-1])


@pytest.mark.parametrize("start", ["x", "-1", "9" * 5000])
def test_a_start_time_that_is_no_number_is_of_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text(f"7 (sh) {REST.replace('987654', start)}\n")
    hosts.redirect(monkeypatch, tmp_path, proc=tmp_path)
    assert process.start_time(7) is None
