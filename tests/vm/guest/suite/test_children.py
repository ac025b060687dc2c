# SPDX-License-Identifier: Apache-2.0
"""Every child of a container, however made, counts against the container's bound, as the kernel says."""

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

import bounds
import children
import helpers
import losing
import pytest
from children import BOUND, EACH, KINDS, LEAVING, Family, Outside, inside, programs, python
from helpers import MIB, agent_pid, cgroup_of, slack, wait_until
from on import PATCHED, STOCK, on, rarely
from sampling import Sampling

from ocihook.cgroup import process

pytestmark = [
    on(STOCK, first="debian-7.3", two=True),
    on(PATCHED, rarely=True),
    pytest.mark.usefixtures("unbalanced"),
]
RUNTIMES = ("podman-crun", "docker", "runc")
THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.fixture
def small_pages():
    """Turn huge pages off: test_bounds.py tests how far they may exceed a bound."""
    with bounds.chosen(THP, "never"):
        yield


def within(sampling, bound=BOUND):
    """Check that no sample was above the bound by more than is allowed."""
    assert len(sampling.rows) > 10
    assert sampling.highest <= bound * MIB + slack(bound * MIB)


def first(pids):
    """The container's first process, which has forked the others."""
    return min(pids)


@pytest.mark.parametrize("runtime", ("podman-crun", "runc", *rarely("docker")))
def test_every_kind_of_child(runtime):
    with (
        Outside(),
        Family(
            runtime, f"kinds-{runtime}", ["/gate/kinds", "all", str(EACH), "/sys/fs/cgroup/outside"]
        ) as one,
    ):
        wait_until("it runs", lambda: programs("all"))
        cgroup = cgroup_of(first(programs("all")))
        with Sampling(cgroup) as sampling:
            lines = one.until("ready")
            kinds = [line.split()[0] for line in lines]
            assert sorted(kinds) == sorted((*KINDS, *LEAVING))
            everybody = programs("all") + programs("touch")
            assert len(everybody) == len(kinds)  # the thread counts as the first process
            wait_until("everybody is inside", lambda: inside(everybody, cgroup))
            children.settle()
        within(sampling)
        # All memory but what the children that left have charged outside before they were back.
        assert sampling.total >= len(KINDS) * EACH * MIB
        seen = wait_until("bede ps counts them", lambda: children.outside_of(cgroup.name))
        assert seen["returned"] >= len(LEAVING)
        assert seen["failed"] == 0
        # Each has some 270 KiB of its own besides, if it is found only after it has touched everything.
        assert seen["bytes"] <= len(LEAVING) * (EACH * MIB + MIB // 2)
    wait_until("the cgroup is removed", lambda: not cgroup.exists())


def test_without_namespaces_of_its_own(agent):
    """A container in the host's pid and cgroup namespaces: its processes are known by their parents."""
    line = ["/gate/kinds", "all", str(EACH), "/sys/fs/cgroup/outside"]
    with Outside(), Family("crun", "no-namespaces", line, host_pids=True) as one:
        wait_until("it runs", lambda: programs("all"))
        cgroup = cgroup_of(first(programs("all")))
        one.until("ready")
        everybody = programs("all") + programs("touch")
        wait_until("everybody is inside", lambda: inside(everybody, cgroup))


@pytest.mark.parametrize("runtime", ("crun", "podman-crun"))
def test_those_that_left_before_the_agent_heard(agent, runtime):
    """A container does not wait for the agent, which may get no CPU for a while."""
    line = ["/gate/kinds", "all", "1", "/sys/fs/cgroup/outside"]
    hosts = runtime == "crun"  # shares all the host's namespaces but that of mounts
    with Outside() as outside, losing.unwatched(), contextlib.ExitStack() as after:
        with losing.stopped():
            one = after.enter_context(Family(runtime, f"late-{runtime}", line, host_pids=hosts))
            one.until("ready")
            cgroup = cgroup_of(first(programs("all")))
            everybody = programs("all") + programs("touch")
            assert len([pid for pid in everybody if cgroup_of(pid) == outside.path]) == len(LEAVING)
        wait_until("everybody is inside", lambda: inside(everybody, cgroup))


#: As systemd or Podman in a container do: the container's cgroup hands its controllers down, and then takes
#: no process itself.
TREE = """
cd /sys/fs/cgroup && mkdir init work && echo 0 > init/cgroup.procs && echo +memory > cgroup.subtree_control
(while [ ! -e /gate/go ]; do sleep 0.1; done; echo 0 > work/cgroup.procs; exec /gate/kinds once 96 1000) &
exec /gate/kinds all 1
"""


@pytest.mark.rarely
def test_a_tree_of_its_own():
    with Outside() as outside, Family("podman-crun", "tree", ["sh", "-c", TREE], private=True) as one:
        one.until("ready")
        home = cgroup_of(first(programs("all"))).parent
        with Sampling(home) as sampling:
            (helpers.WORK / "go").touch()
            wait_until("it is full", lambda: sampling.now() >= 96 * MIB)
            children.settle()
        within(sampling)
        (pid,) = programs("once")
        assert cgroup_of(pid) == home / "work"
        assert "memory" in (home / "cgroup.subtree_control").read_text()
        (outside.path / "cgroup.procs").write_text(str(pid))
        wait_until("it is back", lambda: inside([pid], home))
        assert cgroup_of(pid) != home
        one.remove()


def test_moved_by_hand_comes_back_or_is_let_go(agent):
    with Outside() as outside, Family("crun", "moved", ["/gate/kinds", "all", "1"], privileged=True) as one:
        one.until("ready")
        pid = max(programs("all"))
        home = cgroup_of(pid)
        wait_until("the agent holds it", lambda: children.outside_of("moved") is not None)
        (outside.path / "cgroup.procs").write_text(str(pid))
        wait_until("it is back", lambda: inside([pid], cgroup_of(first(programs("all")))))
        os.makedirs("/etc/bede", exist_ok=True)
        with open("/etc/bede/config.yaml", "w") as file:
            file.write("exempt_cgroups: [/outside]\n")
        try:
            subprocess.run(["systemctl", "restart", agent], check=True)
            wait_until("it is held again", lambda: children.outside_of("moved") is not None)
            (outside.path / "cgroup.procs").write_text(str(pid))
            # When another process, which may not stay, is back, the agent has seen both moves.
            other = sorted(programs("all"))[-2]
            (helpers.CGROUPS / "cgroup.procs").write_text(str(other))
            wait_until("the other is back", lambda: cgroup_of(other) != helpers.CGROUPS)
            assert cgroup_of(pid) == outside.path
            assert home != outside.path
        finally:
            os.unlink("/etc/bede/config.yaml")
            subprocess.run(["systemctl", "restart", agent], check=True)
        wait_until("it is back for good", lambda: cgroup_of(pid) != outside.path)


def test_lost_messages_lead_to_a_rescan(agent):
    with Outside() as outside, Family("crun", "lost", ["/gate/kinds", "all", "1"]) as one:
        one.until("ready")
        wait_until("the agent holds it", lambda: children.outside_of("lost") is not None)
        pid, cgroup = max(programs("all")), cgroup_of(first(programs("all")))
        there, back = outside.path / "cgroup.procs", cgroup_of(os.getpid()) / "cgroup.procs"

        def move_until_lost(number):
            while losing.moves()[0] < number:
                there.write_text(str(os.getpid()))
                back.write_text(str(os.getpid()))

        with losing.unwatched():
            with losing.standing_still() as (stopped, connector):
                # Fill the buffer, move *pid*, and go on until all of the buffer is lost, that move included.
                move_until_lost(losing.moves()[0] + 1)
                there.write_text(str(pid))
                move_until_lost(losing.moves()[1])
                forks = losing.forks_lost(connector)
                while losing.forks_lost(connector) == forks:
                    subprocess.run(["true"], check=True)
            wait_until("it is back", lambda: inside([pid], cgroup))
        assert agent_pid() == stopped


def test_escaped_while_no_agent_ran(agent):
    with Outside() as outside, Family("crun", "unwatched", ["/gate/kinds", "all", "1"]) as one:
        one.until("ready")
        pid, cgroup = max(programs("all")), cgroup_of(first(programs("all")))
        subprocess.run(["systemctl", "stop", "bede-agent.socket", agent], check=True)
        (outside.path / "cgroup.procs").write_text(str(pid))
        subprocess.run(["systemctl", "start", "bede-agent.socket", agent], check=True)
        wait_until("it is back", lambda: inside([pid], cgroup))


@pytest.mark.parametrize("runtime", ("podman-crun", "crun", *rarely("podman-runc", "docker", "runc")))
def test_what_is_executed_in_it_counts(runtime, small_pages):
    with helpers.Container(runtime, f"exec-{runtime}", f"{BOUND}M", 8) as container:
        container.fill()
        load = [f"{helpers.WORKLOADS}/loads", "anon", "64", "2", "1"]
        engine = runtime.partition("-")[0]
        line = {"podman": ["podman", "--runtime", runtime.partition("-")[2]]}.get(engine, [engine])
        with Sampling(container.cgroup) as sampling:
            done = helpers.run(*line, "exec", container.name, *load)
        assert done.returncode == 0, done.stderr
        within(sampling)
        assert sampling.total >= 72 * MIB
        container.stop()


PYTHON = """
import multiprocessing, sys
held = []
def work(size):
    block = bytearray(size)
    block[::4096] = b"x" * len(block[::4096])
    held.append(block)
    return sum(block[::4096])
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(4) as pool:
        assert len(pool.map(work, [20 << 20] * 8)) == 8
    print("done", flush=True)
    sys.stdin.read()
"""


@pytest.mark.rarely
@pytest.mark.parametrize("method", ("fork", *rarely("spawn", "forkserver")))
def test_multiprocessing_of_python(method, small_pages):
    helpers.WORK.mkdir(exist_ok=True)
    (helpers.WORK / "pool.py").write_text(PYTHON)
    line = ["/usr/bin/python3", "-B", "/gate/pool.py", method]
    bound = 96
    with Family("podman-crun", f"pool-{method}", line, bound=bound, privileged=False) as one:
        pid = wait_until("it runs", lambda: [p for p in python("pool.py") if helpers.cgroup_of(p)])[0]
        with Sampling(cgroup_of(pid)) as sampling:
            one.until("done")
        within(sampling, bound)
        assert sampling.total > bound * MIB


APP = """
held = []
def app(environ, start_response):
    block = bytearray(8 << 20)
    block[::4096] = b"x" * len(block[::4096])
    held.append(block)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


def test_gunicorn(small_pages):
    helpers.WORK.mkdir(exist_ok=True)
    (helpers.WORK / "app.py").write_text(APP)
    path = helpers.WORK / "app.sock"
    line = ["/usr/bin/python3", "-B", "-m", "gunicorn", "-w", "3", "--chdir", "/gate"]
    line += ["-b", "unix:/gate/app.sock", "--worker-tmp-dir", "/gate", "app:app"]
    bound = 96
    with Family("podman-crun", "gunicorn", line, bound=bound, privileged=False) as one:
        wait_until("it listens", path.exists)
        pid = wait_until("it runs", lambda: python("gunicorn"))[0]
        with Sampling(cgroup_of(pid)) as sampling:
            for _ in range(16):
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
                    client.send(b"GET / HTTP/1.0\r\n\r\n")
                    assert b"200 OK" in client.recv(100)
        assert {cgroup_of(p) for p in python("gunicorn")} == {cgroup_of(pid)}
        within(sampling, bound)
        assert sampling.total > bound * MIB
        one.remove()


SECONDS = 20 if os.environ.get("BEDE_SOAK") else 6


@pytest.mark.parametrize("runtime", RUNTIMES if os.environ.get("BEDE_SOAK") else ("runc",))
def test_fork_storm(runtime, capsys):
    helpers.WORK.mkdir(exist_ok=True)
    before = process.cpu_seconds(agent_pid())
    with Family(runtime, f"storm-{runtime}", ["/gate/kinds", "storm", str(SECONDS), "2048"], bound=8) as one:
        wait_until("it runs", lambda: programs("storm"))
        start = time.monotonic()
        with Sampling(cgroup_of(first(programs("storm")))) as sampling:
            (line,) = one.process.stdout.readlines()
        seconds = time.monotonic() - start
    spent = process.cpu_seconds(agent_pid()) - before
    with capsys.disabled():
        agent = f"agent: {spent:.2f} s of CPU in {seconds:.0f} s"
        print(f"\n{os.uname().release}, {runtime}: {line.strip()}; {agent}")
    within(sampling, 8)
