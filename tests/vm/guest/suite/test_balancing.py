# SPDX-License-Identifier: Apache-2.0
"""NUMA balancing leaves bound containers alone unless it is to promote, and others as they were."""

import subprocess
from pathlib import Path

import helpers
import pytest
from helpers import MIB, Container, configured, run, slack, wait_until
from limited import SCANNING, knobs
from on import on, rarely

pytestmark = [on("debian-6.12"), on("debian-7.3", rarely=True), pytest.mark.usefixtures("busy_balancing")]
SIZE, BOUND, DEMAND = "16M", 16 * MIB, 48
ROUNDS = 40  #: in which balancing, as it is set here, would have looked at all memory several times


@pytest.fixture(scope="module")
def busy_balancing():
    """NUMA balancing is on, and scans tasks ten times as often as by default (kernel/sched/debug.c)."""
    scans = {SCANNING / name: "100" for name in ("scan_delay_ms", "scan_period_min_ms")}
    with knobs(scans | {helpers.BALANCING: "1"}):
        yield


@pytest.fixture(params=["bede", *rarely("none")])
def kept_out(request):
    """The default is as good as saying so."""
    with configured("" if request.param == "bede" else f"promotion: {request.param}\n"):
        yield


def policies(pid):
    """The policies of all memory areas of a process; an area without one has the task's."""
    return {line.split()[1] for line in Path(f"/proc/{pid}/numa_maps").read_text().splitlines()}


def looked_at(container):
    """How many page table entries of the container balancing has made fault, by the kernel's count."""
    lines = dict(line.split() for line in container.read("memory.stat").splitlines())
    return (
        int(lines["numa_hint_faults"]) if "numa_hint_faults" in lines else int(lines["numa_pages_migrated"])
    )


def pid_of(words):
    given = [*(word.encode() for word in words), b""]
    return next((pid for pid, found in helpers.command_lines() if found == given), 0)


@pytest.mark.parametrize("runtime", ("docker", "podman-crun", *rarely("podman-runc", "runc")))
def test_it_leaves_a_bound_container_alone(runtime, kept_out):
    with Container(runtime, "out", SIZE, DEMAND) as container:
        container.fill()
        assert policies(container.pid) == {"local"}
        before = looked_at(container)  # some of its runtime, before it had the policy
        container.go_on(ROUNDS)
        assert looked_at(container) == before
        assert container.sample()[0] <= BOUND + slack(BOUND)
        assert "it is kept out of NUMA balancing" in run("bede", "explain", "out").stdout
        assert container.stop()[0] == 7


@pytest.mark.rarely
@pytest.mark.parametrize("engine", ("docker", *rarely("podman-crun")))
def test_what_is_executed_in_it_later(engine, kept_out):
    with Container(engine, "out", SIZE, DEMAND) as container:
        container.fill()
        words = ["sleep", "7.25"]
        inside = subprocess.Popen([engine.partition("-")[0], "exec", "out", *words], stdin=subprocess.DEVNULL)
        try:
            pid = wait_until("it runs", lambda: pid_of(words))
            # For exec, Podman calls the runtime directly, and runs no hook.
            assert policies(pid) == ({"local"} if engine == "docker" else {"default"})
        finally:
            inside.wait(timeout=helpers.DEADLINE)
        assert container.stop()[0] == 7


def test_a_programs_own_policy_stays(kept_out):
    words = ["sleep", "8.25"]
    line = ["bede", "run", "--local", SIZE, "--", "numactl", "--interleave=all", *words]
    program = subprocess.Popen(line, stdin=subprocess.DEVNULL)
    try:
        pid = wait_until("it runs", lambda: pid_of(words))
        assert policies(pid) == {"interleave:0-1"}
    finally:
        assert program.wait(timeout=helpers.DEADLINE) == 0


def test_it_promotes_where_it_shall():
    with helpers.promotion_by("balancing"), Container("crun", "in", SIZE, DEMAND) as container:
        container.fill()
        assert policies(container.pid) == {"default"}
        wait_until("balancing looks at it", lambda: looked_at(container) > 0, 180)
        assert container.stop()[0] == 7


def test_an_unbound_container_stays_in(kept_out):
    with Container("docker", "unbound", None, DEMAND) as container:
        container.fill()
        assert policies(container.pid) == {"default"}
        assert container.stop()[0] == 7


def test_the_doctor_says_so(kept_out):
    lines = [line for line in run("bede", "doctor").stdout.splitlines() if "balancing" in line]
    assert any("leaves bound containers alone" in line for line in lines), lines
