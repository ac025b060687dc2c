# SPDX-License-Identifier: Apache-2.0
"""Two sockets, one called far: the same configuration and commands have the same results on every kernel."""

import json

import helpers
import pytest
from helpers import MIB, Container, listed, numa_maps, slack, wait_until
from on import PATCHED, STOCK, on, rarely
from sockets import BOUND, settled

pytestmark = [
    on(STOCK, "two-socket", first="debian-7.3"),
    on(PATCHED, "two-socket"),
    pytest.mark.usefixtures("unbalanced"),
]


@pytest.mark.parametrize("runtime", ("crun", *rarely("docker", "podman-crun")))
def test_ps_set_and_explain(runtime):
    with Container(runtime, f"same-{runtime}", "32M", 128) as container:
        container.fill()
        container.go_on()
        local, far = container.sample()
        assert local <= BOUND + slack(BOUND)
        assert far >= 90 * MIB
        assert container.read("cpuset.cpus.effective") == "0"
        (one,) = listed().values()
        assert one["bound"] == BOUND
        assert abs(one["local"] - local) <= 4 * MIB
        assert abs(one["far"] - far) <= 8 * MIB
        assert (one["own"], one["stalled"]) == (0, False)
        id = one["id"]
        done = helpers.run("bede", "set", id, "16M")
        assert (done.returncode, done.stdout.split(": ", 1)[1]) == (0, "bound 16M\n"), done.stderr
        settled(container, 16 * MIB)
        # Pages that are just being moved are off the lists, but still on their old node.
        limit = 16 * MIB + slack(16 * MIB)
        wait_until("so say the page tables", lambda: numa_maps(container.pid)[0] <= limit)
        done = helpers.run("bede", "set", id, "64M")
        assert (done.returncode, done.stdout.split(": ", 1)[1]) == (0, "bound 64M\n"), done.stderr
        assert listed()[id]["bound"] == 64 * MIB
        for size, says in (("1M", "smallest bound"), ("12Q", "12Q")):
            done = helpers.run("bede", "set", id, size)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1)
            assert says in done.stderr
        done = helpers.run("bede", "explain", id)
        assert done.returncode == 0
        assert "64M of local memory" in " ".join(done.stdout.split())
        assert container.stop()[0] == 7


def test_doctor_calls_it_an_emulation():
    done = helpers.run("bede", "doctor", "--json")
    found = json.loads(done.stdout)
    text = json.dumps(found)
    assert "emulation" in text
    assert "distance" in text
    assert done.returncode in (0, 1), done.stderr
