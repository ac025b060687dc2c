# SPDX-License-Identifier: Apache-2.0
"""`bede explain`, which takes containers' names as their engines have them."""

import json

import pytest
from helpers import IS_PATCHED, MIB, PODMAN, Container, run
from on import PATCHED, STOCK, on, rarely

pytestmark = [on(STOCK), on(PATCHED)]


def facts(name):
    done = run("bede", "explain", "--json", name)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ON_STOCK = pytest.param(PODMAN[0], marks=[on(STOCK), on(PATCHED, rarely=True)])


@pytest.mark.parametrize("runtime", [ON_STOCK, "runc", *rarely("docker")])
def test_a_container_by_its_name(runtime):
    with Container(runtime, "famous", "32M", 48) as container:
        container.fill()
        told = facts("famous")
        one, found = told["container"], told["facts"]
        assert one["cgroup"] == str(container.cgroup)[14:]
        assert one["name"] == ("" if runtime == "runc" else "famous")
        if runtime != "runc" or not IS_PATCHED:
            assert found["asked"] == "bede.local=32M"
        assert found["in force"] == "32M of local memory"
        held = container.read("memory.node_limit" if IS_PATCHED else "memory.high")
        assert ("memory.node_limit is " + held if IS_PATCHED else "memory.high") in found["held by"]
        for name in (one["id"], one["id"][:7], one["cgroup"]):
            assert facts(name)["container"]["id"] == one["id"]
        assert run("bede", "set", "famous", "16M").returncode == 0
        found = facts("famous")["facts"]
        assert found["in force"].startswith("16M of local memory")
        assert ("32M was asked for" in found["in force"]) == (found["asked"] == "bede.local=32M")
        assert container.sample()[0] <= 17 * MIB or not IS_PATCHED
        text = run("bede", "explain", "famous").stdout.splitlines()
        assert max(map(len, text[1:])) <= 80
        table = run("bede", "ps").stdout.splitlines()
        assert table[1].split()[1] == ("-" if runtime == "runc" else "famous")


def test_nobody_of_that_name():
    done = run("bede", "explain", "nobody")
    assert done.returncode == 2
    assert "no bound container is called 'nobody'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_changed_is_told_with_verbose():
    with Container("runc", "verbose", "32M", 8) as container:
        container.fill()
        done = run("bede", "--verbose", "ps")
        assert done.returncode == 0
        assert "bede: detail: read " in done.stderr
        assert run("bede", "ps", "--verbose").stderr.count("bede: detail: ") > 0
        assert run("bede", "ps").stderr == ""
