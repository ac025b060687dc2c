# SPDX-License-Identifier: Apache-2.0
"""A container that suffers from too little local memory is found, and gets what another one lends."""

import time

import bede_system
import pytest
from asking import asking, labelled, pod, told
from helpers import wait_until
from pods import DEADLINE, got, steady

pytestmark = pytest.mark.usefixtures("installed")

#: MiB: 85 of 100 accesses go to a quarter of the memory, which is more than the bound.
MEMORY, BOUND = 96, 20
GROWN = BOUND * 5 // 4  #: what the probe has tried
ACCESSES, WORK = 20_000, 200
#: Seconds until it is found: three minutes of its start are not looked at, and a probe takes two. Up to four
#: may be needed.
FOUND = 1200.0


def working(name):
    """A container that uses its memory for ever."""
    made = asking(name, 0, f"{BOUND}Mi")
    made["command"] = ["/programs/patterns", "region", str(MEMORY), "1000000", str(ACCESSES), str(WORK)]
    return made


def events(of, reason):
    found = got("event", fields=f"involvedObject.name={of.name},reason={reason}")
    return [one["message"] for one in found["items"]]


def test_who_suffers_is_found_and_gets_what_is_lent():
    bede_system.learned("lender", "web", 16)
    lender = labelled(pod("lender", steady("web", 12)), "lender")
    lender.spec["metadata"]["annotations"] = {"bede.local/web": "48Mi"}
    with lender, pod("suffers", working("web")) as suffers:
        lender.full("web")
        began = time.monotonic()
        wait_until("it has its bound", lambda: told(suffers) == {"web": BOUND}, DEADLINE)
        wait_until("it is found", lambda: events(suffers, "LocalMemorySuffering"), FOUND)
        print(f"found after {time.monotonic() - began:.0f} s: {events(suffers, 'LocalMemorySuffering')}")
        wait_until("it has more", lambda: told(suffers).get("web", 0) >= GROWN, DEADLINE)
        wait_until("the other one lends it", lambda: told(lender).get("web", 48) < 48, DEADLINE)
        assert sum(told(lender).values()) + sum(told(suffers).values()) <= 48 + BOUND
