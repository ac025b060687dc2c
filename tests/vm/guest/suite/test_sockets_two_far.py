# SPDX-License-Identifier: Apache-2.0
"""Two nodes that the configuration calls far: a socket, and memory of a lower tier."""

import os

import pytest
from helpers import MIB, Container, all_placed, listed, numa_maps, records, run, slack, wait_until
from on import STOCK, on

from vmlab.demo import inside

pytestmark = [on(STOCK, "three-node"), pytest.mark.usefixtures("unbalanced")]
BOUND = 32 * MIB


@pytest.fixture(autouse=True)
def far():
    inside.call_far("1,2")
    yield
    os.unlink(inside.CONFIG)


def test_what_is_sent_away_is_spread_over_both():
    with Container("crun", "three", "32M", 128) as container:
        (record,) = records()
        assert record["backend"] == "migrate"
        assert (record["cpuset"]["home"], record["cpuset"]["away"]) == ("0", "0-2")
        assert container.read("cpuset.cpus.effective") == "0"
        container.fill()
        container.go_on()
        by_node = all_placed(container.pid, 128 * MIB)
        assert 0.95 * BOUND <= by_node[0] <= BOUND + slack(BOUND)
        assert min(by_node[1], by_node[2]) >= 32 * MIB
        assert container.stop()[0] == 7


def test_what_is_demoted_goes_where_there_is_most_room():
    with Container("crun", "three", "128M", 160) as container:
        container.fill()
        before = listed()["three"]["demoted"]
        assert run("bede", "set", "three", "32M").returncode == 0
        wait_until("it is below", lambda: numa_maps(container.pid)[0] <= BOUND + slack(BOUND))
        by_node = numa_maps(container.pid)
        assert by_node[2] >= 64 * MIB
        assert listed()["three"]["demoted"] - before >= 90 * MIB
        assert container.stop()[0] == 7
