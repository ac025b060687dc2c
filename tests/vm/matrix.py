# SPDX-License-Identifier: Apache-2.0
"""Which guest test runs in which machine, and the parts into which the whole matrix is divided.

*usual* is what `make test` runs: each test where it is most likely to fail. *all* is every test on every
kernel and topology that it names. The rest of *all* is divided into SLICES; part ``2`` is the second of them.
"""

import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from machines import GUEST, ROOT, Cell, Job

from vmlab import cache
from vmlab.kernels import RECIPES

SLICES = 10
PIECE = 45  #: most tests of one machine in a slice, unless one file has more
#: If the tests of one machine take longer, several machines run them side by side.
JOB_SECONDS = 240.0
UNKNOWN_SECONDS = 4.0  #: assumed duration of a test that this host has not run yet
DURATIONS = "test-seconds.json"
DEBUG = bool(os.environ.get("BEDE_DEBUG_KERNELS"))  #: run debug kernels only, which notice every mistake

Where = dict[Cell, list[str]]


def is_part(text: str) -> bool:
    """Whether *text* names a part."""
    return text in ("usual", "all", *(str(number) for number in range(1, SLICES + 1)))


@functools.cache
def _collected() -> dict[str, tuple[list[Cell], list[Cell]]]:
    """{test: (all its cells, those of `make test`)}, as pytest collects the guest's suite."""
    with tempfile.TemporaryDirectory() as work:
        told = Path(work, "cells.json")
        command = [sys.executable, "-B", "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        done = subprocess.run(
            [*command, "--cells", told, "suite"],
            cwd=GUEST,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the guest's tests cannot be collected:\n{done.stdout}{done.stderr}")
        found = json.loads(told.read_text())
    return {
        name: ([Cell(*cell) for cell in whole], [Cell(*cell) for cell in usual])
        for name, (whole, usual) in found.items()
    }


def _where(cells: Iterable[tuple[str, Cell]]) -> Where:
    found: Where = {}
    for test, cell in cells:
        found.setdefault(cell, []).append(test)
    return found


def tests(part: str) -> Where:
    """The guest's tests in *part*, by machine."""
    usual = [(test, cell) for test, (_, cells) in _collected().items() for cell in cells]
    whole = [(test, cell) for test, (cells, _) in _collected().items() for cell in cells]
    if DEBUG:
        patched = [(test, cell) for test, cell in whole if cell.kernel.startswith("bede-")]
        return _where((test, Cell(f"{cell.kernel}-debug", cell.topology)) for test, cell in patched)
    if part == "all":
        return _where(whole)
    if part == "usual":
        return _where(usual)
    # A test that ran with one CPU in *usual* runs here again with the CPUs of its topology.
    done = {(test, cell.kernel, cell.topology) for test, cell in usual if not cell.cpus}
    rest = _where((test, cell) for test, cell in whole if (test, cell.kernel, cell.topology) not in done)
    return _slices(rest)[int(part) - 1]


def _slices(rest: Where) -> list[Where]:
    """Divide *rest* into slices of about as many tests: the same on every host, and few machines in each."""
    pieces: list[tuple[Cell, list[str]]] = []
    for cell, names in rest.items():
        piece: list[str] = []
        for _, file in itertools.groupby(names, key=lambda name: name.partition("::")[0]):
            of_file = list(file)
            if piece and len(piece) + len(of_file) > PIECE:
                pieces.append((cell, piece))
                piece = []
            piece = piece + of_file
        pieces.append((cell, piece))
    slices: list[Where] = [{} for _ in range(SLICES)]
    for cell, piece in sorted(pieces, key=lambda one: (-len(one[1]), one)):
        smallest = min(slices, key=lambda one: sum(map(len, one.values())))
        smallest.setdefault(cell, []).extend(piece)
    return slices


def in_part(part: str, number: int | None) -> bool:
    """Whether a test on the host is in *part*; a test that runs rarely has a *number* for its slice."""
    if part == "all":
        return True
    if part == "usual":
        return number is None
    return number is not None and number % SLICES == int(part) - 1


def jobs(where: Where) -> list[Job]:
    """The machines that run these tests; a long list is divided between machines, by whole files."""
    known = durations()
    anywhere = {name: seconds for found in known.values() for name, seconds in found.items()}

    def cost(cell: Cell, names: Sequence[str]) -> float:
        here = anywhere | known.get(cell.name, {})
        return sum(here.get(name, UNKNOWN_SECONDS) for name in names)

    made = []
    for cell, names in where.items():
        files: dict[str, list[str]] = {}
        for name in names:
            files.setdefault(name.partition("::")[0], []).append(name)
        costs = {file: cost(cell, of) for file, of in files.items()}
        count = 1 if cell.clock == "quiet" else max(1, round(sum(costs.values()) / JOB_SECONDS))
        shares: list[list[str]] = [[] for _ in range(count)]
        for file in sorted(files, key=lambda file: -costs[file]):
            min(shares, key=lambda share: sum(costs[of] for of in share)).append(file)
        for share in filter(None, shares):
            made.append(Job(cell, tuple(name for file in sorted(share) for name in files[file])))
    # Machines whose kernel may have to be built come later, and quiet machines last.
    return sorted(
        made,
        key=lambda job: (job.cell.clock == "quiet", job.cell.kernel in RECIPES, -cost(job.cell, job.tests)),
    )


def durations() -> dict[str, dict[str, float]]:
    """{cell: {test: seconds}}, as measured last on this host; only the order of machines depends on it."""
    try:
        found: dict[str, dict[str, float]] = json.loads((cache.root() / DURATIONS).read_text())
    except (OSError, ValueError):
        return {}
    return found


def remember(cell: Cell, seconds: dict[str, float]) -> None:
    """Remember how long the tests of *cell* took."""
    with cache.lock("test-seconds"), cache.scratch() as work:
        known = durations()
        known.setdefault(cell.name, {}).update(seconds)
        (work / "new").write_text(json.dumps(known))
        (work / "new").replace(cache.root() / DURATIONS)
