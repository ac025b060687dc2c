# SPDX-License-Identifier: Apache-2.0
"""Parsing the two kernel files on which the control loop depends."""

import errno
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocihook import _native, native

NUMA_STAT = b"""anon N0=8192 N1=4096
file N0=4096 N1=0
anon_thp N0=2097152 N1=0
shmem N0=0 N1=0
inactive_anon N0=4096 N1=4096
active_anon N0=4096 N1=0
inactive_file N0=4096 N1=0
active_file N0=0 N1=8192
unevictable N0=12288 N1=0
workingset_refault_anon N0=1 N1=0
"""

LRU_GEN = """memcg     1 /
 node     0
          0     359236          4         12 
          1     359236          0          0 
memcg     7 /a
 node     0
          3       1000         10         20 
          4        500          1          2 
 node     1
          0       1000          0        5x
memcg    12 /a/b
 node     0
          1       1000          7          0 
memcg     9 /ab
 node     0
          0       1000         99         99 
"""  # noqa: W291 - as the kernel prints it


def test_shared_memory_and_what_is_mapped_are_parts() -> None:
    numa = _native.ffi.new("struct bede_numa *")
    text = NUMA_STAT + b"file_mapped N0=4096 N1=8192\nshmem_thp N0=7\n"
    text = text.replace(b"shmem N0=0 N1=0", b"shmem N0=12288 N1=1")
    assert _native.lib.bede_parse_numa_stat(text, len(text), numa) == 0
    assert (list(numa.mapped[0:2]), list(numa.shmem[0:2])) == ([4096, 8192], [12288, 1])
    assert native.parse_numa_stat(text) == native.parse_numa_stat(NUMA_STAT)


def test_numa_stat_counts_each_page_once() -> None:
    lru, file = native.parse_numa_stat(NUMA_STAT)
    assert lru == {0: 4096 + 4096 + 4096 + 12288, 1: 4096 + 8192}
    assert file == {0: 4096, 1: 8192}


@pytest.mark.parametrize(
    "line",
    [
        b"unevictable N0",
        b"active_anon 5",
        b"active_file N=3",
        b"active_anon Nx=1",
        b"active_anon N0=18446744073709551615\ninactive_anon N0=1",
    ],
)
def test_a_line_that_is_not_the_kernels(line: bytes) -> None:
    with pytest.raises(OSError, match="numa_stat"):
        native.parse_numa_stat(line)


@pytest.mark.parametrize(
    "text", [b"kernel \n", b"sock 18446744073709551616", b"kernel 18446744073709551615\nsock 1"]
)
def test_kernel_memory_that_cannot_be_read(text: bytes) -> None:
    out = _native.ffi.new("uint64_t *")
    assert _native.lib.bede_parse_kernel(text, len(text), out) == -errno.EINVAL
    good = (
        b"anon 1\nkernel 5\nsock 2\npgdemote_kswapd 3\npgdemote_direct 4\npgdemote_proactive 10\npgdemote 9\n"
    )
    assert _native.lib.bede_parse_demoted(good, len(good), out) == 0
    assert out[0] == 17
    assert _native.lib.bede_parse_kernel(good, len(good), out) == 0
    assert out[0] == 7


def test_a_generation_of_no_node_is_not_taken_for_another_cgroups(harness: Path, tmp_path: Path) -> None:
    file = tmp_path / "lru_gen"
    file.write_text("memcg 1 /a\n node 1\n 0 1 2 3\nmemcg 2 /a/b\n 0 1 2 3\n")
    done = subprocess.run([harness, "lru", file, "/a"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "1 1 0 2 3\n")


def test_lru_gen_takes_the_cgroup_and_its_descendants(harness: Path, tmp_path: Path) -> None:
    file = tmp_path / "lru_gen"
    file.write_text(LRU_GEN)
    done = subprocess.run([harness, "lru", file, "/a"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["7 0 3 10 20", "7 0 4 1 2", "7 1 0 0 5", "12 0 1 7 0"]


def test_lru_gen_of_another_cgroup_is_not_looked_at(harness: Path, tmp_path: Path) -> None:
    file = tmp_path / "lru_gen"
    file.write_text("memcg 3 /x\n nonsense\n" + LRU_GEN)
    assert (
        subprocess.run([harness, "lru", file, "/ab"], check=True, capture_output=True).stdout
        == b"9 0 0 99 99\n"
    )


#: /a was removed and made again, twice. Both left page cache; the second has swapped pages, so a number.
USED_AGAIN = """memcg     0 /a
 node     0
          1       9000          0       10000
memcg     0 /a/b
 node     0
          1       9000          0           7
memcg    61 /a
 node     0
          1       9000          0          40
memcg    12 /ab
 node     0
          1       9000          5           5
memcg    74 /a
 node     0
          1       9000         20          30
memcg     0 /a/b
 node     0
          1       9000          0           9
memcg    75 /c
 node     0
          1       9000          1           1
"""


@pytest.mark.parametrize(
    ("inode", "shown"),
    [
        ("0", ["74 0 1 20 30", "0 0 1 0 9"]),  # the numbers are no inodes: the last one counts
        ("4711", ["74 0 1 20 30", "0 0 1 0 9"]),
        ("61", ["61 0 1 0 40"]),  # the numbers are inodes: this is the removed one, which is still open
    ],
)
def test_a_removed_cgroup_is_not_the_one_that_has_its_name_now(
    harness: Path, tmp_path: Path, inode: str, shown: list[str]
) -> None:
    file = tmp_path / "lru_gen"
    file.write_text(USED_AGAIN)
    done = subprocess.run([harness, "lru", file, "/a", inode], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == shown


def test_of_a_cgroup_that_has_been_removed_nothing_is_shown(harness: Path, tmp_path: Path) -> None:
    file = tmp_path / "lru_gen"
    file.write_text(USED_AGAIN.partition("memcg    61")[0])
    done = subprocess.run([harness, "lru", file, "/a"], capture_output=True, text=True, check=True)
    assert done.stdout == ""


_PIECES = ["memcg 7 /a", " node 0", " node 99", " 1 2 3 4", "active_anon N0=1 N1=", "N0=1", "memcg", "x", " "]
_PIECES += ["5x 5x", "unevictable N0=99999999999999999999999", " node 18446744073709551616"]
_LINES = st.lists(st.sampled_from(_PIECES), max_size=12).map(lambda lines: "\n".join(lines).encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.binary(max_size=300), _LINES))
def test_no_text_leads_outside_its_buffer(harness: Path, tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "text"
    file.write_bytes(text)
    for arguments in (["numa", file], ["lru", file, "/a"]):
        done = subprocess.run([harness, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
