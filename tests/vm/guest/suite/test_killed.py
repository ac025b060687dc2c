# SPDX-License-Identifier: Apache-2.0
"""An agent that is killed again and again while its container grows fast; the kernel's figures count."""

import contextlib
import os
import random
import select
import signal
import subprocess
import time
from pathlib import Path

import bounds
import helpers
import pytest
from helpers import CGROUPS, MIB, WORKLOADS, wait_until
from on import STOCK, on
from sampling import Sampling

pytestmark = [on(STOCK, each=True, clock="counted"), pytest.mark.usefixtures("unbalanced", "swap")]
BOUND = 128 * MIB
KILLS = 20
PROCESSES, EACH = 8, 180  #: MiB
PAUSES = (0, 0.005, 0.02, 0.1, 0.5)  #: seconds that an agent lives after its first move of the fence


def kill(cgroup, pause):
    """Kill the agent *pause* seconds after its first move of the fence of *cgroup*. False without one."""
    before = (cgroup / "memory.high").read_text()
    end = time.monotonic() + 2
    while (cgroup / "memory.high").read_text() == before and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(pause)
    # The lowest pid is the agent; for a moment there may be a second process, which subscribes for it.
    for pid in helpers.processes("agent")[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def make_room():
    """Make free huge pages: drop the page cache that earlier tests have left, and compact memory."""
    subprocess.run(["sync"], check=True)
    bounds.forget_page_cache()
    Path("/proc/sys/vm/compact_memory").write_text("1")


def tell(process, word):
    """Give *process* a line of input."""
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def stat(cgroup, name):
    """The figure *name* of the cgroup's memory.stat."""
    return int(dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())[name])


def test_killed_over_and_over_with_huge_pages(agent, capsys):
    """Each agent finds huge pages in flight, and leaves its last fence behind when it is killed."""
    load = ["/usr/bin/python3", "-ISB", f"{WORKLOADS}/huge.py", str(PROCESSES), str(EACH)]
    make_room()
    line = ["bede", "run", "--local", "128M", "--name", "killed", "--", *load]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    (record,) = wait_until("it is bound", helpers.records)
    cgroup = CGROUPS / record["cgroup"].strip("/")
    try:
        wait_until("the agent runs", helpers.agent_pid)
        kills, chance = 0, random.Random(4)
        with Sampling(cgroup) as sampling:
            tell(process, "go")
            while kills < KILLS and not select.select([process.stdout], [], [], 0)[0]:
                kills += kill(cgroup, chance.choice(PAUSES))
            assert process.stdout.readline() == "full\n"
            wait_until("all is counted", lambda: sum(helpers.sample(cgroup)) >= 0.95 * PROCESSES * EACH * MIB)
            huge = stat(cgroup, "anon_thp")
            tell(process, "end")
            process.wait(helpers.DEADLINE)
    finally:
        with contextlib.suppress(FileNotFoundError):  # the cgroup has gone
            (cgroup / "cgroup.kill").write_text("1")
        process.kill()
        process.wait()
    over = max(sampling.highest - BOUND, 0)
    with capsys.disabled():
        print(f"\n{os.uname().release}: {kills} kills, {huge >> 20} MiB in huge pages,", end=" ")
        print(f"{100 * over / BOUND:.2f} % above the bound at most")
    assert process.returncode == 0
    assert kills > 2
    assert huge >= PROCESSES * EACH * MIB // 2
    assert sampling.total >= 0.95 * PROCESSES * EACH * MIB
    assert over <= BOUND // 50
    assert max(row["swap"] for row in sampling.rows) == 0
