"""Booting a machine for tests, and reading what its pytest left."""

import functools
import os
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ElementTree
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ocihook.errors import EXIT_MACHINE
from ocihook.vm import kernel_build, kernels
from ocihook.vm.progress import Progress

HERE = Path(__file__).resolve().parent
GUEST = HERE / "guest"
THERE = "/usr/lib/bede/tests/vm/guest"
SUITE = ["python3", "-B", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--durations=20"]
SUITE += ["--junitxml=/out/guest.xml"]
SUITE_SECONDS = 1500  #: a machine that takes longer hangs
DEBUG_SLOWER = 6
DEBUG_MEMORY = {"two-tier": "2G,3G", "three-node": "1G,1G,1G"}  #: KASAN takes its part of the local nodes
_POOL = ThreadPoolExecutor()


@dataclass
class Boot:
    """What one machine did."""

    status: int
    out: str
    err: str
    files: dict[str, str] = field(default_factory=dict)  #: what it left in /out

    @property
    def lost(self) -> bool:
        """Whether the machine itself was lost, by a panic, a hang or the time-out."""
        return self.status == EXIT_MACHINE

    def tail(self, lines: int = 60) -> str:
        """The last of what it said."""
        return "\n".join([*self.out.splitlines()[-lines:], *self.err.splitlines()[-lines:]])


def boot(
    *command: str,
    kernel: str,
    topology: str,
    seconds: float,
    live: bool = False,
    share: Path | None = None,
    reboots: int = 0,
    bare: bool = False,
) -> Boot:
    """Run *command* in a machine of its own; with *live* its output also appears as it comes.

    *share* is at /share there; a patched kernel's own files are in its place. A *bare* machine has no Bede.
    """
    options = ["--share", str(share)] if share else []
    if kernel in kernels.RECIPES:  # made first, so that the machine's time is its own; with its selftests
        made = kernel_build.ensure(kernel, kernels.RECIPES[kernel], Progress())
        options = ["--share", str(made)]
        if kernel.endswith("-debug") and topology in DEBUG_MEMORY:
            options += ["--memory", DEBUG_MEMORY[topology]]
    with tempfile.TemporaryDirectory() as out:
        line = [sys.executable, "-m", "ocihook.cli.main", "vm", "run", "--kernel", kernel, *options]
        line += ["--bare"] if bare else []
        line += ["--reboots", str(reboots), "--topology", topology, "--out", out]
        line += ["--timeout", str(seconds), "--", *command]
        process = subprocess.Popen(
            line,
            cwd=HERE.parents[1],
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
            threading.Thread(target=_follow, args=(stream, text, kernel if live else ""))
            for stream, text in zip((process.stdout, process.stderr), texts, strict=True)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        status = process.wait()
        files = {path.name: path.read_text() for path in Path(out).glob("*.xml")}
    return Boot(status, "".join(texts[0]), "".join(texts[1]), files)


def _follow(stream: IO[str], text: list[str], live: str) -> None:
    for line in stream:
        text.append(line)
        if live:
            os.write(2, f"{live}: {line}".encode())  # this takes minutes, and somebody is looking


#: the kernels that the whole of their suite runs on
PATCHED_KERNELS: tuple[str, ...] = ("bede-6.12", "bede-7.3")
KERNELS = ("debian-6.12", "debian-7.3", *PATCHED_KERNELS)
if os.environ.get("BEDE_DEBUG_KERNELS"):  # in place of all others
    KERNELS = PATCHED_KERNELS = tuple(f"{name}-debug" for name in PATCHED_KERNELS)
#: how files of the patched kernels' suite begin; the others are of Debian's
PATCHED = "test_node_limit"
#: Two equal sockets, one of which is called far: a machine of its own for each kernel that is no debug one.
SOCKETS = "two-socket"
#: and what runs there; Debian's kernels also hold the bounds of all loads, and one those of all runtimes
SOCKET_FILES = {True: ("test_sockets_same.py",), False: ("test_bounds.py", "test_runtimes.py")}
SOCKET_ONCE = {"test_runtimes.py": "debian-7.3"}
#: What one stock kernel is enough for: words that are said before any kernel is asked, engines, crowds.
ONCE = {
    "test_bad_input.py": "debian-6.12",
    "test_configure.py": "debian-7.3",
    "test_crowd.py": "debian-6.12",
    "test_rootless.py": "debian-7.3",
    "test_doctor.py": "debian-6.12",
    "test_explain.py": "debian-7.3",
    "test_journal.py": "debian-6.12",
    "test_metrics.py": "debian-6.12",
    "test_run.py": "debian-7.3",
    "test_survival.py": "debian-7.3",
    "test_unit.py": "debian-7.3",
}


#: (kernel, topology) of each machine that runs a suite
SUITES = [(kernel, "two-tier") for kernel in KERNELS]
SUITES += [(kernel, SOCKETS) for kernel in KERNELS if not kernel.endswith("-debug")]


def files(kernel: str, topology: str) -> list[str]:
    """The files of the guest's suite that run on *kernel* in a machine of that *topology*."""
    patched = kernel in kernels.RECIPES
    names = sorted(path.name for path in GUEST.glob("test_*.py"))
    of_sockets = [name for name in names if name.startswith("test_sockets")]
    if topology == SOCKETS:
        wanted = {*SOCKET_FILES[patched], *(() if patched else of_sockets)}
        return sorted(name for name in wanted if SOCKET_ONCE.get(name, kernel) == kernel)
    names = [name for name in names if name.startswith(PATCHED) == patched and name not in of_sockets]
    return [name for name in names if ONCE.get(name, kernel) == kernel]


@functools.cache
def guest_tests(kernel: str, topology: str) -> tuple[str, ...]:
    """The tests of that machine's suite by name, as its own pytest will call them."""
    command = [sys.executable, "-B", "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    command += files(kernel, topology)
    environment = dict(os.environ, PYTHONPATH=str(HERE.parents[1]))
    done = subprocess.run(
        command, cwd=GUEST, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    names = tuple(line.rpartition("guest/")[2] for line in done.stdout.splitlines() if "::" in line)
    if done.returncode != 0 or not names:
        raise RuntimeError(f"the guest's tests cannot be collected:\n{done.stdout}{done.stderr}")
    return names


def verdicts(xml: str) -> dict[str, tuple[str, str]]:
    """{test: (passed, failed or skipped, why)} of a JUnit report."""
    found: dict[str, tuple[str, str]] = {}
    for case in ElementTree.fromstring(xml).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}.py::{case.get('name')}"
        verdict, why = found.get(name, ("passed", ""))
        for part in case:
            if part.tag in ("failure", "error"):
                verdict, why = "failed", f"{why}{part.get('message')}\n{part.text}\n"
            elif part.tag == "skipped" and verdict == "passed":
                verdict, why = "skipped", str(part.get("message"))
        found[name] = (verdict, why)
    return found


def _run(kernel: str, topology: str) -> tuple[Boot, dict[str, tuple[str, str]]]:
    there = [f"{THERE}/{name}" for name in files(kernel, topology)]
    seconds = SUITE_SECONDS * (DEBUG_SLOWER if kernel.endswith("-debug") else 1)
    result = boot(*SUITE, *there, kernel=kernel, topology=topology, seconds=seconds, live=True)
    report = result.files.get("guest.xml")
    return result, verdicts(report) if report else {}


@functools.cache
def _started(kernel: str, topology: str) -> Future[tuple[Boot, dict[str, tuple[str, str]]]]:
    return _POOL.submit(_run, kernel, topology)


def suite(kernel: str, topology: str) -> tuple[Boot, dict[str, tuple[str, str]]]:
    """Run the guest's suite on *kernel* in a machine of that *topology*, once a session."""
    # A patched kernel holds its bounds whatever else the host does, so these machines run side by side.
    # On Debian's the agent races against the load, and has a host to itself.
    for name in PATCHED_KERNELS if kernel in PATCHED_KERNELS else (kernel,):
        _started(name, topology)
    return _started(kernel, topology).result()
