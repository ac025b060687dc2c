# SPDX-License-Identifier: Apache-2.0
"""Memory of the far node that goes and comes, as a fabric's manager has it, and what the agent says of it."""

import contextlib
import os
import signal
from pathlib import Path

from helpers import all_placed, run, slack, wait_until
from sampling import Sampling

FAR = Path("/sys/devices/system/node/node1")
HUGE = FAR / "hugepages/hugepages-2048kB/nr_hugepages"
BLOCKS = Path("/sys/devices/system/memory")
#: The kernel tries for ever to take a block away in which a page stays, until it is sent a signal.
PATIENCE = 20  # seconds


def offline(blocks):
    """Those of *blocks* that the kernel could empty and take away; not every one can be."""
    return [block for block in blocks if _set(block, "offline")]


def online(blocks, how="online"):
    """Give *blocks* back."""
    for block in blocks:
        assert _set(block, how), f"{block} does not come back"


def far_blocks():
    """All memory blocks of the far node that are there."""
    return [BLOCKS / path.name for path in sorted(FAR.glob("memory[0-9]*"))]


def far_size():
    """The far node's memory in MiB, as the kernel says."""
    for line in (FAR / "meminfo").read_text().splitlines():
        if "MemTotal:" in line:
            return int(line.split()[3]) >> 10
    return 0


@contextlib.contextmanager
def full():
    """The far node without room: what is free is huge pages. A process that filled it would never end."""
    try:
        HUGE.write_text("100000")  # as many as fit
        yield
    finally:
        HUGE.write_text("0")


@contextlib.contextmanager
def emptied():
    """The far node without any block that can go; what is left is full. Yields those that are gone."""
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
    """What the agent has said of capacity since this was made."""

    def __init__(self):
        self.before = self._all()

    def _all(self):
        out = run("journalctl", "-q", "-o", "cat", "-u", "bede-agent.service", "--no-pager").stdout
        return [line for line in out.splitlines() if line.startswith("node ")]

    def lines(self):
        """Those lines."""
        return self._all()[len(self.before) :]

    def says(self, words):
        """Wait until the newest one has *words*; all of them."""
        wait_until(f"the agent says {words!r}", lambda: words in "".join(self.lines()[-1:]))
        return self.lines()


def beyond(pid, whole, limit):
    """Where the *whole* anonymous memory of *pid* is; None while more than *limit* of it is local."""
    by_node = all_placed(pid, whole)
    return by_node if by_node.get(0, 0) <= limit else None


def goes_and_comes(container, gone, bound):
    """Take far memory from a container that fills what there is of it, and give it back; yields at each step.

    *gone* is what :func:`emptied` yields, less the first two blocks, which the container is in.
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
    # Of the process's own pages: page cache that is in the way is dropped, and comes back to nobody.
    whole = sum(all_placed(container.pid, 0).values())
    # Where the kernel puts what is in the way is another node, whatever bound that one has.
    moved = offline(own)
    wait_until("what was put on the local node is far again", lambda: container.sample()[0] <= limit)
    with Sampling(container.cgroup) as sampling:
        container.go_on(2)
    assert sampling.highest <= limit
    wait_until("all is far that has to be", lambda: beyond(container.pid, whole, limit))
    online(moved)
    yield "moved"
