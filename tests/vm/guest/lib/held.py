# SPDX-License-Identifier: Apache-2.0
"""Checks that a container of 48 MiB is at its bound of 16, and that an agent holds all that is recorded."""

import helpers
from helpers import MIB, all_placed, records, slack, wait_until

SIZE = "16M"
BOUND = 16 * MIB
DEMAND = 48  # MiB


def holds(container, bound=BOUND):
    """Check that the container is at its bound, by the counters and by the page tables, and goes on."""
    local, far = container.sample()
    assert local <= bound + slack(bound)
    assert far >= (DEMAND << 20) - bound - 4 * MIB
    container.go_on()
    assert container.sample()[0] <= bound + slack(bound)
    by_node = all_placed(container.pid, DEMAND << 20)
    assert by_node.get(0, 0) <= bound + slack(bound)


def fenced(container, bound=BOUND):
    """Wait until the container's memory.high leaves the room that its bound leaves, and no more."""

    def stands():
        high, current = container.read("memory.high"), int(container.read("memory.current"))
        return high.isdigit() and 0 <= int(high) - (current - container.sample()[0]) <= bound + 2 * MIB

    wait_until("the fence stands where the bound is", stands)


def adopted():
    """Wait until an agent holds all recorded containers."""

    wait_until(
        "an agent holds all containers",
        lambda: helpers.held_by_agent() == {record["id"] for record in records()},
    )
