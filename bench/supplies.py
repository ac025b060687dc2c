# SPDX-License-Identifier: Apache-2.0
"""What bench/placement.py puts into the machine for a load: what the machine in a box lacks."""

import shutil
import sqlite3
import subprocess
from pathlib import Path

from loads import DEBIAN, LOADS, SIZE

ROOT = Path(__file__).resolve().parents[1]
WORKLOADS = Path("tests/vm/guest/workloads")  #: in the checkout
#: each program, and of what it is made; patterns is linked such that a library can be preloaded
PROGRAMS = {
    "patterns": (WORKLOADS / "patterns.c", WORKLOADS / "algorithms.c", "-lm"),
    "first_come.so": ("bench/first_come.c", "-shared", "-fPIC"),
    "store_client": ("bench/store_client.c", "-lm"),
    "sqlite_client": ("bench/sqlite_client.c", "-lm"),
}
VALUE = 1000  #: bytes of a record of the SQLite database, as in store_client.c
IN_A_PAGE = 4  #: such records, of which each is never divided
MAKEFILE = """
objects := $(patsubst %.c,%.o,$(notdir $(wildcard /share/sources/*.c)))
all: $(objects)
%.o: /share/sources/%.c
	gcc --sysroot /share/programs -O2 -c -o $@ $<
"""


def make(load: str, share: Path) -> None:
    """Put into the directory *share* what this load needs."""
    from vmlab import debian
    from vmlab.progress import Progress

    share.mkdir()
    for target, words in PROGRAMS.items():
        command = ["gcc", "-std=gnu11", "-O2", "-o", str(share / target)]
        command += ["-Ivmlab/model", f"-I{WORKLOADS}", *map(str, words)]
        subprocess.run(command, cwd=ROOT, check=True)
    packages = LOADS[load].packages
    if packages:
        unpacked = debian.ensure(load, packages, Progress(quiet=True))
        shutil.copytree(unpacked, share / DEBIAN.name, symlinks=True)
    if load == "sqlite":
        records(share / "records.db", SIZE)
    if load == "build":
        _sources(share / "sources")


def records(path: Path, size: int) -> None:
    """A database for sqlite_client, of some *size* MiB."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, value BLOB)")
        rows = ((b"x" * VALUE,) for _ in range((size << 20) // 4096 * IN_A_PAGE))
        database.executemany("INSERT INTO records (value) VALUES (?)", rows)
    database.close()


def _sources(directory: Path) -> None:
    """The programs of the loads themselves, and how they are compiled."""
    directory.mkdir()
    for found in (*(ROOT / WORKLOADS).glob("*.[ch]"), *(ROOT / "vmlab/model").glob("*.h")):
        shutil.copy(found, directory)
    (directory / "Makefile").write_text(MAKEFILE)
