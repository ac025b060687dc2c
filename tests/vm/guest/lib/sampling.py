# SPDX-License-Identifier: Apache-2.0
"""The demo's independent sampler beside a container, as a process of its own."""

import subprocess
import sys

from helpers import WORK, wait_until

from vmlab.demo.sampler import HEADER

COLUMNS = HEADER.split(",")


class Sampling:
    """The independent sampler beside a container, from entering to leaving."""

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
        # It ends well when the cgroup is gone, too, but by no mistake.
        assert self.process.wait() == 0, "the sampler did not see all of it"
        lines = self.csv.read_text().splitlines()[1:]
        self.rows = [dict(zip(COLUMNS, map(float, line.split(",")), strict=True)) for line in lines]

    def now(self):
        """Local and far usage together by the kernel's own file, in bytes."""
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
