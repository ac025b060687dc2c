# SPDX-License-Identifier: Apache-2.0
"""A bound on one of two local nodes."""

import pytest
from helpers import MIB, Container, numa_maps, slack
from on import on

pytestmark = [on("debian-6.12", "three-node"), pytest.mark.usefixtures("unbalanced")]


def test_bound_of_one_node_is_held():
    def edit(config):
        config["linux"]["resources"] = {"cpu": {"cpus": "1"}}

    notes = {"bede.local.1": "24M"}
    with Container("crun", "three", "64M", 128, annotations=notes, edit=edit) as container:
        container.fill()
        container.go_on()
        by_node = numa_maps(container.pid)
        assert by_node.get(1, 0) <= 24 * MIB + slack(24 * MIB)
        assert by_node.get(0, 0) + by_node.get(1, 0) <= 64 * MIB + slack(64 * MIB)
        assert container.stop()[0] == 7
