# SPDX-License-Identifier: Apache-2.0
"""`bede doctor` on a host that can hold bounds: its facts are the kernel's, and it repairs what it can."""

import json
import os
import re
import subprocess
from pathlib import Path

import helpers
import memory
from helpers import IS_PATCHED, run, wait_until
from on import PATCHED, STOCK, on

pytestmark = [on("debian-6.12"), on(PATCHED, first="bede-7.3")]

DEMOTION = Path("/sys/kernel/mm/numa/demotion_enabled")
LRU = Path("/sys/kernel/mm/lru_gen/enabled")
NODES = "/sys/devices/system/node"
PAGE = os.sysconf("SC_PAGE_SIZE")


def report(*options):
    done = run("bede", "doctor", "--json", *options)
    assert done.returncode in (0, 3), done.stderr
    told = json.loads(done.stdout)
    assert told["can_hold"] == (done.returncode == 0)
    return {(one["topic"], one["name"]): one for one in told["findings"]}


def test_this_host_can_hold_bounds():
    found = report()
    assert {one["verdict"] for one in found.values()} <= {"good", "note", "warn"}
    for node in (0, 1):
        fact = found["memory", f"node {node}"]["fact"]
        where = Path(f"/sys/devices/system/node/node{node}")
        total = int((where / "meminfo").read_text().split()[3]) // 1024
        assert f"{('local', 'far')[node]}, {total} MiB" in fact
        assert "distances " + " ".join((where / "distance").read_text().split()) in fact
        latency = (where / "access0/initiators/read_latency").read_text().strip()
        assert f"reads in {latency} ns" in fact
    backend = found["bede", "backend"]["fact"]
    assert backend.startswith("node_limit: " if IS_PATCHED else "tier: ")
    assert "local: node 0; far: node 1" in backend
    engines = {name: one for (topic, name), one in found.items() if topic == "engine"}
    assert engines["crio"]["fact"] == "not installed"
    for name, program in (("podman", "podman"), ("docker", "docker"), ("containerd", "containerd")):
        assert engines[name]["verdict"] == "good"
        version = run(program, "--version").stdout
        assert engines[name]["fact"].split(":")[0] in version
    assert run("runc", "--version").stdout.split()[2] in engines["runc"]["fact"]
    assert "behind bede-runtime" in engines["runc"]["fact"]
    assert found["bede", "agent"]["fact"] == f"runs as process {helpers.agent_pid()}"


@on("debian-6.12")  # the other kernels need nothing of this
def test_it_changes_nothing_unless_told_to():
    before = DEMOTION.read_text(), LRU.read_text()
    DEMOTION.write_text("0")
    LRU.write_text("n")
    try:
        found = report()
        assert found["memory", "demotion"]["verdict"] == "note"
        assert found["memory", "lru_gen"]["verdict"] == "warn"
        assert DEMOTION.read_text().strip() == "false"
        assert int(LRU.read_text(), 16) == 0
        found = report("--fix")
        assert found["memory", "demotion"]["verdict"] == found["memory", "lru_gen"]["verdict"] == "good"
        assert DEMOTION.read_text().strip() == "true"
        assert int(LRU.read_text(), 16) & 1
    finally:
        DEMOTION.write_text(before[0])
        LRU.write_text(before[1])


def test_it_starts_the_agent(agent):
    subprocess.run(["systemctl", "stop", "bede-agent.socket", "bede-agent.service"], check=True)
    found = report()["bede", "agent"]
    assert found["verdict"] == ("note" if IS_PATCHED else "warn")
    if not IS_PATCHED:
        assert report("--fix")["bede", "agent"]["verdict"] == "good"
        wait_until("the agent runs", helpers.agent_pid)


def test_a_mode_of_balancing_that_promotes_everything_is_told():
    before = helpers.BALANCING.read_text()
    try:
        helpers.BALANCING.write_text("2")
        assert report()["memory", "balancing"]["verdict"] == "good"
        with helpers.promotion_by("balancing"):
            assert report()["memory", "balancing"]["verdict"] == ("good" if IS_PATCHED else "warn")
    finally:
        helpers.BALANCING.write_text(before)


def test_an_engine_that_is_not_configured_is_told():
    daemon = Path("/etc/docker/daemon.json")
    before = daemon.read_text()
    try:
        daemon.write_text("{}")
        one = report()["engine", "docker"]
        assert (one["verdict"], one["remedy"]) == ("warn", "bede configure docker")
    finally:
        daemon.write_text(before)


def test_it_fits_a_screen_and_has_no_colours():
    done = run("bede", "doctor")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    assert "\033" not in done.stdout
    assert re.fullmatch(
        r"bounds can be held on this host: \d+ of \d+ MiB of far memory can be had", lines[-1]
    )


@on(STOCK)
@on(PATCHED, first="bede-7.3")
def test_far_memory_that_is_full_is_a_verdict_and_its_reason():
    with memory.full():
        done = run("bede", "doctor")
        assert done.returncode == 3, done.stdout
        text = " ".join(done.stdout.rpartition("\n\n")[2].split())
        assert re.fullmatch(
            r"no bound can be held on this host: the far memory is full: \d+ MiB of \d+ MiB can be had", text
        )
        done = run("bede", "run", "--local", "32M", "--", "echo", "started")
        assert (done.returncode, done.stdout) == (3, "")
        assert "the far memory is full" in done.stderr
    assert run("bede", "doctor").returncode == 0


@on(STOCK)
@on(PATCHED, first="bede-7.3")
def test_another_user_is_not_told_of_a_host_that_cannot():
    done = run("setpriv", "--reuid", "65534", "--clear-groups", "bede", "doctor")
    assert done.returncode == 4
    text = " ".join(done.stdout.split())
    assert (
        "whether bounds can be held on this host, only root can tell: you have no memory controller" in text
    )
    assert "no bound can be held on this host" not in text


def test_a_wrong_configuration_is_the_finding(tmp_path):
    wrong = tmp_path / "config.yaml"
    wrong.write_text("far_nodes: some\n")
    wrong.chmod(0o644)
    done = run("bede", "doctor", env={"BEDE_CONFIG": str(wrong), "PATH": "/usr/sbin:/usr/bin"})
    assert done.returncode == 3
    assert "far_nodes is not a list" in " ".join(done.stdout.split())
    assert done.stderr == ""
