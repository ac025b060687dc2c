# SPDX-License-Identifier: Apache-2.0
"""A container's bound is held with each runtime, by the kernel's figures."""

import os

import audit
import bounds
import helpers
import pytest
import sockets
from helpers import MIB, Container, all_placed, nothing_left, records, slack
from on import STOCK, on, rarely

pytestmark = [on(STOCK), on("debian-7.3", "two-socket", rarely=True), pytest.mark.usefixtures("unbalanced")]

BOUND = 32 * MIB
DEMAND = 128  # MiB


def held(container, bound=BOUND, demand=DEMAND):
    """Check the bound of a container that has filled its memory."""
    local, far = container.sample()
    assert local <= bound + slack(bound)
    assert far >= (demand << 20) - bound - 4 * MIB
    by_node = all_placed(container.pid, demand << 20)
    assert by_node.get(0, 0) <= bound + slack(bound)


def recorded(container):
    """Check that the record agrees with the kernel."""
    (record,) = records()
    assert record["pid"] == container.pid
    for name, inode in record["ns"].items():
        assert inode == os.stat(f"/proc/{container.pid}/ns/{name}").st_ino
    assert record["cgroup_ino"] == container.cgroup.stat().st_ino
    assert record["bound"] == BOUND


def everywhere(runtime):
    """*runtime* as a parameter that also runs on two sockets, where one runtime is enough for all."""
    seldom = runtime != "podman-crun"
    return pytest.param(runtime, marks=[on(STOCK), on("debian-7.3", "two-socket", rarely=seldom)])


@pytest.mark.parametrize("runtime", map(everywhere, helpers.RUNTIMES))
def test_runtime_holds_the_bound(runtime):
    with Container(runtime, f"hold-{runtime}", "32M", DEMAND) as container:
        container.fill()
        held(container)
        recorded(container)
        container.go_on()
        held(container)
        status, out, err = container.stop()
    assert (status, err) == (7, "")
    first, verdict = out.splitlines()
    assert first.isdigit() and int(first) <= BOUND + 4 * MIB, "no fence at the first instruction"
    assert verdict == f"kept {DEMAND} MiB"
    nothing_left(container.cgroup)


def test_every_page_is_where_it_is_counted():
    with Container("crun", "audit", "32M", DEMAND) as container:
        container.fill()
        local, far = audit.pages(container.cgroup)
        assert local <= BOUND + slack(BOUND)
        assert far >= (DEMAND - 32 - 4) * MIB
        container.stop()


@pytest.mark.parametrize("runtime", ("crun", "docker"))
def test_container_without_annotation_is_untouched(runtime):
    bounds.forget_page_cache()  # else the local node has no room for all of it
    with Container(runtime, "free", None, DEMAND) as container:
        container.fill()
        assert container.read("memory.high") == "max"
        assert records() == []
        # Nothing keeps the container off the other socket's CPUs. The statistics are at most two seconds old.
        nodes = slice(2 if sockets.is_one_tier() else 1)
        helpers.wait_until("all is counted", lambda: sum(container.sample()[nodes]) >= DEMAND << 20)
        status, out, _ = container.stop()
    assert (status, out.splitlines()) == (7, ["max", f"kept {DEMAND} MiB"])


def test_wrapper_leaves_a_bundle_without_annotation_alone():
    where = helpers.bundle("alone", ["true"], None)
    before = (where / "config.json").stat()
    assert helpers.run("bede-runtime", "run", "--bundle", where, "alone").returncode == 0
    after = (where / "config.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.rarely
@pytest.mark.parametrize("manager", ("cgroupfs", "systemd"))
def test_both_cgroup_drivers_and_a_share_of_the_limit(manager):
    options = (f"--cgroup-manager={manager}", "--memory", "256m")
    with Container("podman-crun", manager, "12.5%", DEMAND, options=options) as container:
        container.fill()
        held(container)
        limits = [(container.cgroup / where / "memory.max").read_text().strip() for where in (".", "..")]
        assert str(256 * MIB) in limits
        assert container.stop()[0] == 7


def test_users_own_memory_high_keeps_its_meaning():
    def edit(config):
        config["linux"]["resources"] = {"unified": {"memory.high": str(96 * MIB)}}

    with Container("crun", "own-high", "48M", 64, edit=edit) as container:
        container.fill()
        (record,) = records()
        assert record["user_high"] == 96 * MIB
        assert int(container.read("memory.high")) <= 96 * MIB
        assert container.sample()[0] <= 48 * MIB + MIB
        container.stop()


@pytest.mark.rarely
def test_two_containers_with_different_bounds_side_by_side():
    with Container("crun", "small", "16M", 64) as small, Container("runc", "large", "48M", 96) as large:
        small.fill()
        large.fill()
        held(small, 16 * MIB, 64)
        held(large, 48 * MIB, 96)
        assert [record["bound"] for record in records()] == [48 * MIB, 16 * MIB]
        assert small.stop()[0] == large.stop()[0] == 7
    nothing_left(small.cgroup)
    nothing_left(large.cgroup)


@pytest.mark.parametrize("runtime", ("podman-crun", "docker", "crun", *rarely("podman-runc", "ctr", "runc")))
def test_failed_start_leaves_nothing(runtime):
    line = helpers.command_line(runtime, "no-start", ["/no/such/program"], {"bede.local": "32M"})
    before = helpers.cgroups()
    assert helpers.run(*line).returncode != 0
    nothing_left()
    helpers.wait_until("its cgroup is removed", lambda: helpers.cgroups() <= before)
