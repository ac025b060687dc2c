# SPDX-License-Identifier: Apache-2.0
"""The loads' C code, with sanitizers, on this machine's own memory; their marks do nothing here."""

import subprocess
from ctypes.util import find_library
from pathlib import Path

import loads
import pytest
import supplies

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
WORKLOADS = ROOT / "tests/vm/guest/workloads"
PAGES = 256  #: of a MiB


def build(target: Path, *sources: Path) -> Path:
    """A program with AddressSanitizer and UBSan, whose findings are fatal."""
    flags = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += [f"-I{WORKLOADS}", f"-I{ROOT / 'vmlab/model'}"]
    subprocess.run(["gcc", *flags, "-o", target, *sources, "-lm"], check=True)
    return target


@pytest.fixture(scope="module")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of all loads."""
    sources = (WORKLOADS / "patterns.c", WORKLOADS / "algorithms.c")
    return build(tmp_path_factory.mktemp("patterns") / "patterns", *sources)


@pytest.mark.parametrize("kind", [kind for kind, load in loads.LOADS.items() if not load.program])
def test_a_load_runs_to_its_end(kind: str, patterns: Path) -> None:
    subprocess.run([patterns, kind, "3", "12", "1000", "2"], check=True, timeout=60)


def test_the_tree_has_each_key_where_a_lookup_finds_it(tmp_path: Path) -> None:
    """Whatever its height: that of 1 MiB is one level lower than the others'."""
    find = build(tmp_path / "find", HERE / "find.c")
    for mib in (1, 2, 13):
        done = subprocess.run([find, str(mib)], capture_output=True, text=True, check=True, timeout=60)
        keys, nodes = map(int, done.stdout.split())
        assert keys > 0.9 * mib * PAGES * 255
        assert 0.9 * mib * PAGES < nodes <= mib * PAGES


@pytest.mark.skipif(find_library("sqlite3") is None, reason="there is no libsqlite3")
def test_sqlite_has_all_records_that_its_client_asks_for(tmp_path: Path) -> None:
    """In mapped pages, whose number is that of the load's size."""
    supplies.records(tmp_path / "records.db", 4)
    assert (tmp_path / "records.db").stat().st_size == pytest.approx(4 << 20, rel=0.02)
    client = build(tmp_path / "client", ROOT / "bench/sqlite_client.c")
    subprocess.run([client, tmp_path / "records.db", "3", "2000"], check=True, timeout=60)
