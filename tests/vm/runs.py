# SPDX-License-Identifier: Apache-2.0
"""Runs this session's machines of the guest's suite side by side, and reports where the time went."""

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import machines
import matrix
from machines import Boot, Cell, Job, Verdict

from ocihook.errors import MachineError
from vmlab import kernel_build
from vmlab.kernels import RECIPES
from vmlab.progress import Progress

SLOWEST = 12  #: number of slowest tests to report
Result = tuple[Boot, dict[str, Verdict]]


class Suite:
    """Runs all machines for the *wanted* tests, each as soon as a CPU of the host is free."""

    def __init__(self, wanted: matrix.Where) -> None:
        self.seconds: dict[str, float] = {}
        kernels = sorted({cell.kernel for cell in wanted if cell.kernel in RECIPES})
        threading.Thread(target=_build, args=(kernels,), daemon=True).start()
        self._pool = ThreadPoolExecutor(machines.PLACES.all)
        self._jobs: dict[tuple[Cell, str], Future[Result]] = {}
        for job in matrix.jobs(wanted):
            future = self._pool.submit(self._run, job)
            self._jobs |= {(job.cell, test): future for test in job.tests}

    def result(self, cell: Cell, test: str) -> Result:
        """Wait until the machine that runs *test* has ended; no verdicts if the machine was lost."""
        return self._jobs[cell, test].result()

    def end(self) -> None:
        """Start no further machine."""
        self._pool.shutdown(cancel_futures=True)

    def _run(self, job: Job) -> Result:
        boot, verdicts = machines.run(job)
        seconds = {name: round(one.seconds, 2) for name, one in verdicts.items()}
        matrix.remember(job.cell, seconds)
        self.seconds |= {f"{job.cell.name}: {name}": one for name, one in seconds.items()}
        return boot, verdicts


def _build(kernels: list[str]) -> None:
    """Build missing kernels at low priority while the first machines run."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    for name in kernels:
        with contextlib.suppress(MachineError):  # the machine that needs the kernel reports the error
            kernel_build.ensure(name, RECIPES[name], Progress())


def lines(seconds: dict[str, float]) -> Iterator[str]:
    """Lines that say where the time went: each machine, and the slowest tests of *seconds*."""
    for name, boot in machines.BOOTS:
        spent = (
            f"boot {boot.up:5.1f}, its command {boot.seconds - boot.up:6.1f}, on processors {boot.cpu:6.1f}"
        )
        yield f"{name:28} {boot.seconds:6.1f} s: {spent}; waited for a place {boot.waited:.0f}"
    total = sum(boot.seconds for _, boot in machines.BOOTS)
    booting = sum(boot.up for _, boot in machines.BOOTS)
    yield f"{len(machines.BOOTS)} machines, {total:.0f} s in all, {booting:.0f} s of it boots; slowest tests:"
    for name in sorted(seconds, key=lambda name: -seconds[name])[:SLOWEST]:
        yield f"{seconds[name]:6.1f} s {name}"
