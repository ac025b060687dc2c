# SPDX-License-Identifier: Apache-2.0
"""The agent's lines in the journal: one for each event, with fields; none if nothing happens."""

import json
import time

from helpers import Container, run, wait_until
from on import on

pytestmark = on("debian-6.12")


def events(container):
    """The agent's events about one container, from the journal."""
    done = run(
        "journalctl", "-q", "-o", "json", "--no-pager", "-u", "bede-agent", f"BEDE_CONTAINER={container}"
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def lines():
    return len(run("journalctl", "-q", "-o", "cat", "--no-pager", "-u", "bede-agent").stdout.splitlines())


def test_a_containers_life_is_three_lines():
    with Container("runc", "told", "32M", 64) as container:
        container.fill()
        assert run("bede", "set", "told", "48M").returncode == 0
        before = lines()
        container.go_on(2)
        time.sleep(3)  # time for several turns of the agent
        assert lines() == before
        container.stop()
    found = wait_until("its end is told", lambda: [*events("told")] if len(events("told")) >= 3 else None)
    assert [one["BEDE_EVENT"] for one in found] == ["bound", "set", "ended"]
    assert [int(one["BEDE_BOUND"]) >> 20 for one in found] == [32, 48, 48]
    assert {one["SYSLOG_IDENTIFIER"] for one in found} == {"bede-agent"}
    assert all(one["BEDE_CGROUP"] == found[0]["BEDE_CGROUP"] for one in found)
    assert int(found[2]["BEDE_DEMOTED"]) > 0
    assert "32M and is 48M" in found[1]["MESSAGE"]
