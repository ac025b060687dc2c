# SPDX-License-Identifier: Apache-2.0
"""What a profile has learned of a container in two days: with *size* bytes it is just within its budget.

It knows more memory as well as less. Of a profile whose largest size is just enough, a single report of a pod
that does not behave as it should would leave nothing that is.
"""

from ocihook.sizing.histogram import DAY, Histogram
from ocihook.sizing.history import History, Sample

EVERY = 600.0  #: seconds between two reports
JUST = 0.944  #: share of local hits at which the slowdown is 10 %, with the latencies of CXL
BELOW, ABOVE = 0.5, 0.98  #: share with half of that memory, and with twice as much


def container(name, size, asked, now):
    """A container as a profile's ``status`` has it."""
    history, demand = History(), Histogram()
    for number in range(int(2 * DAY / EVERY)):
        at = now - 2 * DAY + number * EVERY
        for part, share in ((size, JUST), (size // 2, BELOW), (2 * size, ABOVE)):
            history = history.added(Sample(at, part, share))
        demand = demand.added(at, 4 * size)
    return {
        "name": name,
        "asked": asked,
        "recommended": {"floor": size // 2, "target": size, "max": 2 * size},
        "confidence": 80,
        "history": history.checkpoint(),
        "demand": demand.checkpoint(),
    }
