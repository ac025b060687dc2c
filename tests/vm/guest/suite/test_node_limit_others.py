# SPDX-License-Identifier: Apache-2.0
"""Memory that one asks for and another is charged for, or nobody, on the patched kernel."""

import subprocess
import sys
from pathlib import Path

import pytest
from limited import MIB, WORKLOADS, Group, answer, slack, undisturbed
from on import PATCHED, on

POOL = Path("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages")

pytestmark = [on(PATCHED, two=True), pytest.mark.usefixtures("swap")]


@pytest.mark.parametrize("how", ("mem", "uffd"))
def test_what_others_fill_is_placed_by_its_owners_limits(how):
    with Group() as owner, Group("filler") as filler, undisturbed():
        filled = [sys.executable, "-ISB", str(WORKLOADS / "filled.py"), how, "64", str(filler.path)]
        owner.limit("N0=24M")  # of which the interpreter needs some
        with owner.sampled() as samples:
            answer(owner.start(*filled, stdin=subprocess.PIPE))
        print(f"highest {samples.highest / MIB:.2f} of 24 MiB, {samples.total / MIB:.0f} in all")
        assert samples.total >= 64 * MIB
        assert samples.highest <= 24 * MIB + slack(24)
        events = owner.events()
        assert events["steered"] * 4096 >= 40 * MIB
        assert events["over"] * 4096 <= slack(24)


def test_whoever_is_limited_may_fill_the_others_memory():
    """The filler's limit is not about memory that is the owner's."""
    with Group() as owner, Group("filler", limit="N0=8M") as filler, undisturbed():
        filled = [sys.executable, "-ISB", str(WORKLOADS / "filled.py"), "mem", "64", str(filler.path)]
        answer(owner.start("numactl", "--preferred=0", *filled, stdin=subprocess.PIPE))
        assert owner.local() >= 60 * MIB


def test_the_pool_of_huge_pages_is_nobodys():
    with Group(limit="N0=16M") as group:
        group.fill(48)
        script = f"echo 8 >{POOL}; cat {POOL}; echo 0 >{POOL}"
        got = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
        assert got == "8\n"
        process = group.start("sh", "-c", script)
        assert process.communicate(timeout=60)[0] == got
