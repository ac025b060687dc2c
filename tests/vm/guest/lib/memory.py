# SPDX-License-Identifier: Apache-2.0
"""Takes far memory away and gives it back, as a fabric's manager does, and reads the agent's journal."""

import contextlib
import os
import signal
from pathlib import Path

from helpers import all_placed, run, slack, wait_until
from sampling import Sampling

FAR = Path("/sys/devices/system/node/node1")
HUGE = FAR / "hugepages/hugepages-2048kB/nr_hugepages"
BLOCKS = Path("/sys/devices/system/memory")
#: Then a signal ends the attempt: the kernel tries for ever if a page of the block cannot be moved.
PATIENCE = 20  # seconds


def offline(blocks):
    """Take *blocks* offline. Returns those of which the kernel could move all pages away."""
    return [block for block in blocks if _set(block, "offline")]


def online(blocks, how="online"):
    """Put *blocks* online again."""
    for block in blocks:
        assert _set(block, how), f"{block} does not come back"


def far_blocks():
    """All memory blocks of the far node that are online."""
    return [BLOCKS / path.name for path in sorted(FAR.glob("memory[0-9]*"))]


def far_size():
    """The far node's memory in MiB, as the kernel says."""
    for line in (FAR / "meminfo").read_text().splitlines():
        if "MemTotal:" in line:
            return int(line.split()[3]) >> 10
    return 0


@contextlib.contextmanager
def full():
    """Fill the far node with reserved huge pages. A process that filled it would never end."""
    try:
        HUGE.write_text("100000")  # more than fit, so as many as possible
        yield
    finally:
        HUGE.write_text("0")


@contextlib.contextmanager
def emptied():
    """Take all blocks offline that can be, and fill the rest of the far node. Yields the blocks taken."""
    gone = offline(far_blocks())
    try:
        with full():
            yield gone
    finally:
        online(block for block in gone if (block / "state").read_text().strip() == "offline")


def _set(block, state):
    before = signal.signal(signal.SIGALRM, _too_long)
    file = os.open(block / "state", os.O_WRONLY)
    signal.alarm(PATIENCE)
    try:
        os.write(file, state.encode())
    except OSError:
        return False
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        os.close(file)
    return True


def _too_long(_number, _frame):
    raise TimeoutError("the kernel does not come to an end with this block")


class Journal:
    """The agent's journal lines about capacity since this object was made."""

    def __init__(self):
        self.before = self._all()

    def _all(self):
        out = run("journalctl", "-q", "-o", "cat", "-u", "bede-agent.service", "--no-pager").stdout
        return [line for line in out.splitlines() if line.startswith("node ")]

    def lines(self):
        """The lines so far."""
        return self._all()[len(self.before) :]

    def says(self, words):
        """Wait until the newest line has *words*. Returns all lines."""
        wait_until(f"the agent says {words!r}", lambda: words in "".join(self.lines()[-1:]))
        return self.lines()


def beyond(pid, whole, limit):
    """{node: bytes} of the *whole* anonymous memory of *pid*; None while more than *limit* of it is local."""
    by_node = all_placed(pid, whole)
    return by_node if by_node.get(0, 0) <= limit else None


def goes_and_comes(container, gone, bound):
    """Take far memory away from a container that fills all of it, and give it back; yields at each step.

    *gone* is what :func:`emptied` yields, without the first two blocks, which the container uses.
    """
    own, rest = gone[:2], gone[2:]
    limit = bound + slack(bound)
    with Sampling(container.cgroup) as sampling:
        online(rest)
        container.go_on()
        yield "come"
        taken = offline(rest)
        container.go_on()
        yield "gone"
    assert sampling.highest <= limit
    online(taken)
    # Count the process's own pages: page cache may be dropped meanwhile, and does not come back.
    whole = sum(all_placed(container.pid, 0).values())
    # The kernel moves these pages to another node, whatever bound the container has there.
    moved = offline(own)
    wait_until("what was put on the local node is far again", lambda: container.sample()[0] <= limit)
    with Sampling(container.cgroup) as sampling:
        container.go_on(2)
    assert sampling.highest <= limit
    wait_until("all is far that has to be", lambda: beyond(container.pid, whole, limit))
    online(moved)
    yield "moved"
