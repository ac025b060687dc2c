# SPDX-License-Identifier: Apache-2.0
"""Runs the demo's independent sampler beside a container, in a separate process."""

import subprocess
import sys

from helpers import WORK, wait_until

from vmlab.demo.sampler import HEADER

COLUMNS = HEADER.split(",")


class Sampling:
    """The sampler beside a container; a context manager that starts and ends it."""

    def __init__(self, cgroup):
        self.cgroup = cgroup
        self.csv = WORK / "samples.csv"

    def __enter__(self):
        self.csv.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["nice", "-n", "-20", sys.executable, "-m", "vmlab.demo.sampler", self.cgroup, self.csv]
        )
        wait_until("the sampler looks", self.csv.exists)
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        # Its status is also 0 if the cgroup is gone, but not after an error.
        assert self.process.wait() == 0, "the sampler did not see all of it"
        lines = self.csv.read_text().splitlines()[1:]
        self.rows = [dict(zip(COLUMNS, map(float, line.split(",")), strict=True)) for line in lines]

    def now(self):
        """Local and far usage together, in bytes, from the kernel's file."""
        words = (self.cgroup / "memory.current").read_text()
        return int(words)

    @property
    def highest(self):
        """The highest local usage, in bytes."""
        return max(row["local"] for row in self.rows)

    @property
    def total(self):
        """The highest local and far usage together."""
        return max(row["local"] + row["far"] for row in self.rows)
