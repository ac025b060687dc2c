# SPDX-License-Identifier: Apache-2.0
"""Boots machines for tests, as many at once as the host has CPUs, and reads pytest's reports from them."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ocihook.errors import EXIT_MACHINE
from vmlab import kernel_build, kernels
from vmlab.cluster import build as cluster_build
from vmlab.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
GUEST = ROOT / "tests/vm/guest"
THERE = "/usr/lib/bede/tests/vm/guest"
READ = (".xml", ".csv")  #: names of the files in /out that are returned
PYTEST = ["python3", "-B", "-m", "pytest", "-v", "-p", "no:cacheprovider"]
HANGING_SECONDS = 1500.0  #: a machine that takes longer counts as hanging: ten times as long as most take
DEBUG_SLOWER = 6
DEBUG_MEMORY = {"two-tier": "2G,3G", "three-node": "1G,1G,1G"}  #: KASAN uses a part of the local nodes
UP = re.compile(r"the machine is up after ([0-9.]+) s")


@dataclass(frozen=True, order=True)
class Cell:
    """One machine of the matrix.

    Its *clock* is "quiet" if it has the host to itself, "counted" if its time is its number of instructions.
    """

    kernel: str
    topology: str
    cpus: int = 0  #: 0: the CPUs of the topology
    clock: str = ""

    @property
    def name(self) -> str:
        """The machine's name, for people and for the durations that are remembered."""
        cpus = f" {self.cpus} CPU" if self.cpus else ""
        return f"{self.kernel} {self.topology}{cpus}{self.clock and f' {self.clock}'}"


@dataclass(frozen=True)
class Job:
    """The tests of the guest's suite that one machine runs."""

    cell: Cell
    tests: tuple[str, ...]


@dataclass
class Boot:
    """The result of one machine; times in seconds."""

    status: int
    out: str
    err: str
    files: dict[str, str] = field(default_factory=dict)  #: the files that it left in /out
    waited: float = 0.0  #: time until a CPU of the host was free
    seconds: float = 0.0  #: from the machine's start to its end
    cpu: float = 0.0  #: CPU time on the host

    @property
    def lost(self) -> bool:
        """Whether the machine itself was lost, by a panic, a hang or the time-out."""
        return self.status == EXIT_MACHINE

    @property
    def up(self) -> float:
        """How long the machine took to boot."""
        return sum(float(text) for text in UP.findall(self.err))

    def tail(self, lines: int = 60) -> str:
        """The last *lines* of the machine's output."""
        return "\n".join([*self.out.splitlines()[-lines:], *self.err.splitlines()[-lines:]])


class Places:
    """The host's CPUs: each machine takes one, a quiet machine all. The longest waiting comes next.

    A machine with two CPUs takes one as well: otherwise a third of the host would be idle. One machine more
    than the host has CPUs gains nothing, since the machines delay each other (three on two: 471 s, not 197).
    """

    def __init__(self) -> None:
        self.all = self.free = max(2, len(os.sched_getaffinity(0)))
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, quiet: bool) -> Iterator[None]:
        """Hold one CPU, or all if *quiet*."""
        count = self.all if quiet else 1
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self.free >= count)
            self.free -= count
        try:
            yield
        finally:
            with self._changed:
                self.free += count
                self._changed.notify_all()


PLACES = Places()
BOOTS: list[tuple[str, Boot]] = []  #: (purpose, result) of every machine of this session


def boot(
    *command: str,
    kernel: str,
    topology: str,
    seconds: float = HANGING_SECONDS,
    cpus: int = 0,
    live: bool = False,
    share: Path | None = None,
    reboots: int = 0,
    bare: bool = False,
    clock: str = "",
    environment: dict[str, str] | None = None,
    cluster: bool = False,
    more: tuple[str, ...] = (),
) -> Boot:
    """Run *command* in a machine; with *live* its output is also printed as it comes.

    *share* is at /share in the machine; with a patched kernel, that kernel's files are there instead. A
    *bare* machine has no Bede; one with a *cluster* starts Kubernetes first. *more* are further options of
    `bede vm run`.
    """
    options = ["--share", str(share)] if share else []
    if kernel in kernels.RECIPES:  # build it first, so that this does not count as the machine's time
        made = kernel_build.ensure(kernel, kernels.RECIPES[kernel], Progress())
        options = ["--share", str(made)]
        if kernel.endswith("-debug") and topology in DEBUG_MEMORY:
            options += ["--memory", DEBUG_MEMORY[topology]]
    if cluster:
        ensure_cluster()
        options += ["--cluster"]
    line = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "ocihook.cli.main"]
    line += ["vm", "run", "--kernel", kernel, *options]
    line += ["--bare"] if bare else []
    line += ["--cpus", str(cpus)] if cpus else []
    line += ["--count-instructions"] if clock == "counted" else []
    line += more
    line += ["--reboots", str(reboots), "--topology", topology, "--timeout", str(seconds)]
    asked = time.monotonic()
    cell = Cell(kernel, topology, cpus, clock)
    with tempfile.TemporaryDirectory() as out, PLACES.taken(clock == "quiet"):
        began = time.monotonic()
        process = subprocess.Popen(
            [*line, "--out", out, "--", *command],
            cwd=ROOT,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        assert process.stderr is not None
        texts: list[list[str]] = [[], []]
        readers = [
            threading.Thread(target=_follow, args=(stream, text, cell.name if live else ""))
            for stream, text in zip((process.stdout, process.stderr), texts, strict=True)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status = os.waitstatus_to_exitcode(status)
        files = {path.name: path.read_text() for path in Path(out).glob("*") if path.suffix in READ}
        done = Boot(status, "".join(texts[0]), "".join(texts[1]), files)
        done.waited, done.seconds = began - asked, time.monotonic() - began
        done.cpu = usage.ru_utime + usage.ru_stime
    BOOTS.append((cell.name, done))
    return done


def ensure_cluster() -> None:
    """Build Kubernetes if it is missing, while there is no machine: it would delay one that wants quiet."""
    if not cluster_build.is_built():
        with PLACES.taken(quiet=True):
            cluster_build.ensure(Progress())


def _follow(stream: IO[str], text: list[str], live: str) -> None:
    for line in stream:
        text.append(line)
        if live:
            os.write(2, f"{live}: {line}".encode())  # a person is waiting for minutes


def run(job: Job) -> tuple[Boot, dict[str, "Verdict"]]:
    """Run one job's tests in a machine. Returns its verdicts by test, none if the machine was lost."""
    files = sorted({name.partition("::")[0] for name in job.tests})
    result = boot(
        *PYTEST,
        "--junitxml=/out/guest.xml",
        *(f"{THERE}/suite/{name}" for name in files),
        kernel=job.cell.kernel,
        topology=job.cell.topology,
        cpus=job.cell.cpus,
        clock=job.cell.clock,
        seconds=HANGING_SECONDS * (DEBUG_SLOWER if job.cell.kernel.endswith("-debug") else 1),
        live=True,
        environment={"BEDE_ONLY": json.dumps(job.tests)},
    )
    report = result.files.get("guest.xml")
    return result, verdicts(report) if report else {}


def passes(
    *files: str,
    kernel: str,
    topology: str = "two-tier",
    first: str = "true",
    without: str = "",
    cluster: bool = False,
    seconds: float = HANGING_SECONDS,
) -> None:
    """Check that the tests in these *files* of the guest pass in one machine, all but the test *without*.

    *first* is a command that is run before.
    """
    tests = [f"{THERE}/{file}" for file in files]
    tests += ["-k", f"not {without}"] if without else []
    done = boot(
        *("sh", "-c", f'{first} && exec "$@"', "sh", *PYTEST, "--junitxml=/out/guest.xml", *tests),
        kernel=kernel,
        topology=topology,
        live=True,
        cluster=cluster,
        seconds=seconds,
    )
    assert "guest.xml" in done.files, done.tail()
    found = verdicts(done.files["guest.xml"]).items()
    failed = [f"{name}: {verdict.why}" for name, verdict in found if verdict.word != "passed"]
    assert not failed, "\n".join(failed)
    assert done.status == 0, done.tail()


@dataclass
class Verdict:
    """The result of one test."""

    word: str = "passed"  #: passed, failed or skipped
    why: str = ""
    seconds: float = 0.0


def verdicts(xml: str) -> dict[str, Verdict]:
    """{test: verdict} of a JUnit report."""
    found: dict[str, Verdict] = {}
    for case in ElementTree.fromstring(xml).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}.py::{case.get('name')}"
        one = found.setdefault(name, Verdict())
        one.seconds += float(case.get("time", 0))
        for part in case:
            if part.tag in ("failure", "error"):
                one.word, one.why = "failed", f"{one.why}{part.get('message')}\n{part.text}\n"
            elif part.tag == "skipped" and one.word == "passed":
                one.word, one.why = "skipped", str(part.get("message"))
    return found
