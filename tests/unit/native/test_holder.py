# SPDX-License-Identifier: Apache-2.0
"""The holder's threads on plain files, under the sanitizers."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

LRU_GEN = """memcg     7 /a
 node     0
          2     100200       1000       2000
          3       1000         10         20
          4        500          1          2
"""


@pytest.fixture
def lru_gen(tmp_path: Path) -> Path:
    """A file in place of the kernel's lru_gen; commands overwrite its text."""
    file = tmp_path / "lru_gen"
    file.write_text(LRU_GEN)
    return file


def test_a_holder_lives_and_ends_clean(harness: Path, cgroup: Path, lru_gen: Path) -> None:
    done = subprocess.run(
        [harness, "hold", cgroup, lru_gen, "300"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    local, far, fence, error = map(int, done.stdout.split())
    assert (local, far, error) == (1044480, 409600, 0)
    # The fence is the total usage plus what is left of the bound, less a margin, in whole pages.
    assert 1600000 - 4096 <= fence <= 1600000 + (1 << 20) - 1044480
    assert (cgroup / "memory.high").read_text().startswith("max")


USED = 391 * 4096


@pytest.mark.parametrize("backend", ["tier", "migrate"])
@pytest.mark.parametrize(
    ("local", "stands", "left"),
    [
        # The bound of 1 MiB is passed, and tasks are past the fence: it stays.
        (2 << 20, 1400832, 1400832),
        # It is passed, and the fence would let them go on: it comes down to what they use.
        (2 << 20, 2 << 20, USED),
        # It is not passed: the fence goes up.
        (512 << 10, 1400832, None),
    ],
)
def test_the_fence_does_not_rise_while_the_bound_is_passed(
    harness: Path, cgroup: Path, lru_gen: Path, local: int, stands: int, left: int | None, backend: str
) -> None:
    (cgroup / "memory.current").write_text(f"{USED}\n")
    (cgroup / "memory.high").write_text(f"{stands}\n")
    (cgroup / "memory.numa_stat").write_text(f"inactive_anon N0={local} N1=0\nactive_anon N0=0 N1=0\n")
    command = [harness, "hold", cgroup, lru_gen, "100", backend]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    fence = int(done.stdout.split()[2])
    assert fence == left if left else fence > USED


@pytest.mark.parametrize("text", ["-1\n", "99999999999999999999\n", " 5\n", "\n"])
def test_a_usage_that_is_no_number_ends_the_holder(
    harness: Path, cgroup: Path, lru_gen: Path, text: str
) -> None:
    (cgroup / "memory.current").write_text(text)
    command = [harness, "hold", cgroup, lru_gen, "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[3] == str(-errno.EINVAL)


def test_a_cgroup_without_the_files_is_refused(harness: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [harness, "hold", tmp_path, tmp_path / "none", "1"], capture_output=True, check=False
    )
    assert done.returncode == 1


def test_a_backend_that_nobody_knows_is_refused(race: Path, cgroup: Path, lru_gen: Path) -> None:
    assert subprocess.run([race, cgroup, lru_gen, "1", "nobody"], check=False).returncode == 2


def test_a_deadline_that_is_not_open_is_nobody_elses(harness: Path) -> None:
    assert subprocess.run([harness, "deadline"], check=False).returncode == 0


@pytest.mark.parametrize("way", [(), ("migrate",)], ids=["tier", "migrate"])
def test_nothing_is_touched_by_two_threads_at_once(
    race: Path, cgroup: Path, lru_gen: Path, way: tuple[str, ...]
) -> None:
    (cgroup / "cpuset.mems").write_text("0\n")
    (cgroup / "cgroup.procs").write_text(f"{os.getpid()}\n" if way else "")
    command = [race, cgroup, lru_gen, "300", *way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rounds, tries, error = map(int, done.stdout.split())
    assert rounds > 10
    assert tries > 0 or way
    assert error == -errno.EINVAL
    # After its end, cpuset.mems has far nodes as well, where the tasks can allocate.
    assert not way or (cgroup / "cpuset.mems").read_text().startswith("0-1")
