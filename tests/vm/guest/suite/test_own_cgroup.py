# SPDX-License-Identifier: Apache-2.0
"""Containers with and without a cgroup of their own: which cgroup's limits Bede writes."""

import contextlib
import os
import subprocess

import helpers
import pytest
from helpers import CGROUPS, MIB, Container, nothing_left, run, slack
from limited import write
from on import PATCHED, STOCK, on, rarely

pytestmark = [
    on(STOCK),
    on(PATCHED, rarely=True),
    on(STOCK, "two-socket", rarely=True),
    pytest.mark.usefixtures("unbalanced"),
]

BOUND = 16 * MIB
DEMAND = 48  # MiB
LIMITS = ("memory.high", "memory.max", "memory.swap.max", "memory.node_limit", "cpuset.cpus", "cpuset.mems")


@pytest.fixture
def caller():
    """The cgroup of the program that calls a runtime, with every controller."""
    group = CGROUPS / "caller"
    group.mkdir()
    controllers = (CGROUPS / "cgroup.controllers").read_text().split()
    write(CGROUPS / "cgroup.subtree_control", " ".join(f"+{one}" for one in controllers if one != "rdma"))
    yield group
    write(group / "cgroup.kill", "1")
    helpers.wait_until("the caller has ended", lambda: "populated 0" in (group / "cgroup.events").read_text())
    for below in (*sorted(group.rglob("*/"), reverse=True), group):
        below.rmdir()


@pytest.fixture
def by_crun():
    """Make crun the real runtime of bede-runtime."""
    before = helpers.CONFIG.read_text() if helpers.CONFIG.exists() else ""
    with helpers.configured(f"{before}\nruntime: crun\n"):
        yield


def limits(group):
    """{file: text} of the limits of a cgroup."""
    found = {}
    for name in LIMITS:
        with contextlib.suppress(FileNotFoundError):
            found[name] = (group / name).read_text()
    return found


def called(line, group):
    """Run *line* from inside of *group*."""
    return run(*line, preexec_fn=lambda: write(group / "cgroup.procs", str(os.getpid())))


def refused(done, group, before):
    """Check that the container did not start, that one line says why, and that *group* has its old limits."""
    text = done.stdout + done.stderr
    assert done.returncode != 0, text
    assert "started" not in done.stdout
    lines = [line for line in text.splitlines() if "no cgroup of its own" in line]
    assert len(lines) == 1, text
    assert "--cgroups=disabled" in lines[0]
    assert limits(group) == before
    nothing_left()


@pytest.mark.parametrize(
    ("runtime", "option"),
    [
        ("podman-crun", "--cgroups=disabled"),
        ("crun", "--cgroup-manager=disabled"),
        ("bede-runtime", "--cgroup-manager=disabled"),
    ],
)
def test_without_a_cgroup_of_its_own(runtime, option, caller, by_crun):
    before = limits(caller)
    line = helpers.command_line(
        runtime, "shared", ["echo", "started"], {"bede.local": "64M"}, options=(option,)
    )
    refused(called(line, caller), caller, before)
    assert limits(caller) == before


def test_in_the_cgroup_of_others(caller):
    before = limits(caller)
    line = helpers.command_line(
        "bede-runtime",
        "shared",
        ["echo", "started"],
        {"bede.local": "64M"},
        edit=lambda config: config["linux"].update(cgroupsPath="/caller"),
    )
    # runc may refuse this by itself.
    sleeper = subprocess.Popen(
        ["sleep", "300"], preexec_fn=lambda: write(caller / "cgroup.procs", str(os.getpid()))
    )
    done = run(*line)
    assert done.returncode != 0
    assert "started" not in done.stdout
    assert limits(caller) == before
    sleeper.kill()
    sleeper.wait()
    nothing_left()


def test_a_process_of_a_session(caller):
    """The hook is run by hand for a background job of the shell."""
    before = limits(caller)
    state = '{"id": "job", "pid": \'$!\', "bundle": "/tmp/job", "annotations": {"bede.local": "64M"}}'
    script = f"sleep 60 & echo '{state}' | bede-hook createRuntime; status=$?; kill $!; exit $status"
    done = called(["sh", "-c", script], caller)
    assert done.returncode == 3
    refused(done, caller, before)


@pytest.mark.parametrize("runtime", ("podman-crun", *rarely("podman-runc")))
@pytest.mark.parametrize(
    "option", ["--cgroups=no-conmon", "--cgroup-parent=bede-test.slice", "--cgroups=split"]
)
def test_every_cgroup_of_its_own_is_bound(runtime, option):
    before = ("systemd-run", "--scope", "--quiet", "--collect", "-p", "Delegate=yes")
    with Container(runtime, "own", "16M", DEMAND, options=(option,), before=before) as container:
        container.fill()
        container.go_on()
        local, far = container.sample()
        assert local <= BOUND + slack(BOUND)
        assert far >= (DEMAND << 20) - BOUND - 4 * MIB
        assert container.stop()[0] == 7
    nothing_left(container.cgroup)
