# SPDX-License-Identifier: Apache-2.0
"""The agent's death, its absence, and a bound that changes; the kernel's figures show the effect."""

import os
import signal
import subprocess
from pathlib import Path

import helpers
import pytest
from helpers import MIB, Container, agent_pid, listed, slack, wait_until
from on import STOCK, on

# In `make test` they run with the sanitized agent: tests/vm/test_sanitized.py.
pytestmark = [on(STOCK, rarely=True), pytest.mark.usefixtures("unbalanced")]
BOUND = 32 * MIB
SOCKET = Path("/run/bede/agent.sock")
CALL = f"""
import socket
agent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
agent.settimeout(20)
agent.connect("{SOCKET}")
try:
    agent.send(b'{{"op": "ps"}}')
    print(agent.recv(100) or "nothing")
except (BrokenPipeError, ConnectionResetError):
    print("nothing")
"""


@pytest.fixture
def container():
    with Container("crun", "kept", "32M", 96) as one:
        yield one


def holds(container, bound=BOUND):
    """Check several times that the container is below *bound* while it goes over its memory."""
    for _ in range(10):
        assert container.sample()[0] <= bound + slack(bound)
    container.go_on()
    assert container.sample()[0] <= bound + slack(bound)


def adopted(name="kept"):
    """Wait until an agent answers and holds *name*."""

    wait_until(f"an agent holds {name}", lambda: name in (helpers.held_by_agent() or ()))


def test_killed_agent_while_memory_grows(container, agent):
    before = wait_until("the agent runs", agent_pid)
    wait_until("it allocates", lambda: container.sample()[0] > 8 * MIB)
    os.kill(before, signal.SIGKILL)
    container.fill()
    holds(container)
    assert wait_until("another agent runs", agent_pid) != before
    adopted()
    holds(container)
    assert container.stop()[0] == 7


def test_fence_alone_holds_and_strangles_nobody(container, agent):
    container.fill()
    subprocess.run(["systemctl", "stop", "bede-agent.socket", agent], check=True)
    assert not agent_pid()
    holds(container)
    container.go_on(2)
    subprocess.run(["systemctl", "start", "bede-agent.socket"], check=True)
    adopted()
    subprocess.run(["systemctl", "restart", agent], check=True)
    adopted()
    holds(container)
    assert container.stop()[0] == 7


def test_hook_starts_the_agent_that_systemd_has_stopped(agent):
    subprocess.run(["systemctl", "stop", "bede-agent.socket", agent], check=True)
    with Container("crun", "kept", "32M", 64) as container:
        adopted()
        assert agent_pid()
        container.fill()
        holds(container)


def test_hook_starts_an_agent_without_systemd(agent):
    subprocess.run(["systemctl", "stop", "bede-agent.socket", agent], check=True)
    # Simulate a host without systemd: hide systemd's directory from the hook.
    hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run/systemd && exec "$@"', "sh"]
    with Container("runc", "kept", "32M", 64, before=hidden) as container:
        adopted()
        assert not agent_pid()
        # For a moment there is a second process, which subscribes for the agent.
        (own,) = wait_until(
            "it has subscribed", lambda: len(found := helpers.processes("agent")) == 1 and found
        )
        assert helpers.cgroup_of(own) != container.cgroup
        container.fill()
        holds(container)
        os.kill(own, signal.SIGTERM)
        wait_until("it ends", lambda: not Path(f"/proc/{own}").exists())


def test_set_halves_and_raises(container):
    container.fill()
    for size, bound in (("16M", 16 * MIB), ("64M", 64 * MIB)):
        done = helpers.run("bede", "set", "kept", size)
        assert (done.returncode, done.stdout) == (0, f"kept: bound {size}\n"), done.stderr
        (record,) = helpers.records()
        assert record["bound"] == bound
        wait_until(f"local usage is at most {size}", lambda b=bound: container.sample()[0] <= b + slack(b))
        assert listed()["kept"]["bound"] == bound
    # Far pages stay far, but there is room again for new ones.
    assert int(container.read("memory.high")) >= int(container.read("memory.current")) + 16 * MIB
    assert container.stop()[0] == 7


LOCKING = """
import ctypes, mmap, sys
region = mmap.mmap(-1, 60 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
libc = ctypes.CDLL(None, use_errno=True)
if libc.mlock(ctypes.byref(ctypes.c_char.from_buffer(region)), ctypes.c_size_t(60 << 20)):
    sys.exit(f"mlock: {ctypes.get_errno()}")
sys.stdin.read()
"""


def test_set_forgets_no_overshoot():
    line = ["bede", "run", "--local", "64M", "--name", "locked", "--", "/usr/bin/python3", "-c", LOCKING]
    locked = subprocess.Popen(line, stdin=subprocess.PIPE)
    try:
        (record,) = wait_until("it is bound", helpers.records)
        cgroup = helpers.CGROUPS / record["cgroup"].strip("/")

        def unevictable():
            stat = (cgroup / "memory.stat").read_text().splitlines()
            return next(int(one.split()[1]) for one in stat if one.startswith("unevictable "))

        wait_until("60 MiB are locked", lambda: unevictable() >= 60 * MIB)
        assert listed()[record["id"]]["overshoot"] == 0
        assert helpers.run("bede", "set", "locked", "8M").returncode == 0
        over = unevictable() - 8 * MIB
        wait_until("it is above its bound", lambda: listed()[record["id"]]["overshoot"] >= over)
        wait_until("it stalls", lambda: listed()[record["id"]]["stalled"])
        assert helpers.run("bede", "set", "locked", "128M").returncode == 0
        wait_until("it has its new bound", lambda: listed()[record["id"]]["bound"] == 128 * MIB)
        assert listed()[record["id"]]["overshoot"] >= over
    finally:
        locked.communicate(timeout=helpers.DEADLINE)


REFUSED = (
    ("kept", "12Q", "12Q"),
    ("kept", "1M", "smallest bound"),
    ("kept", "25%", "share of the memory limit"),
    ("nobody", "64M", "no bound container is called 'nobody'"),
)


def test_set_refuses(container):
    for name, size, says in REFUSED:
        done = helpers.run("bede", "set", name, size)
        assert done.returncode == 2
        assert says in done.stderr
        assert done.stderr.startswith("bede: ")
        assert done.stderr.count("\n") == 1
        assert helpers.records()[0]["bound"] == BOUND


def test_ps_says_what_the_kernel_says(container):
    container.fill()
    one = listed()["kept"]
    local, far = container.sample()
    assert (one["bound"], one["runtime"], one["backend"], one["pid"]) == (
        BOUND,
        "crun",
        "tier",
        container.pid,
    )
    assert abs(one["local"] - local) <= 4 * MIB
    assert abs(one["far"] - far) <= 8 * MIB
    assert one["overshoot"] <= slack(BOUND)
    table = helpers.run("bede", "ps").stdout.splitlines()
    assert table[0].split()[:4] == ["CONTAINER", "NAME", "BOUND", "LOCAL"]
    assert table[1].split()[:3] == ["kept", "-", "32M"]


def test_only_root_reaches_the_socket():
    assert SOCKET.stat().st_mode & 0o777 == 0o600
    assert SOCKET.parent.stat().st_mode & 0o777 == 0o700
    done = helpers.run("bede", "ps", user="nobody")
    assert done.returncode == 4
    assert done.stderr == "bede: only root may speak to the agent. Use sudo.\n"
    # Not even if everybody may open the path: the agent asks the kernel who its peer is.
    SOCKET.parent.chmod(0o755)
    SOCKET.chmod(0o666)
    try:
        done = helpers.run("python3", "-c", CALL, user="nobody")
        assert (done.stdout, done.stderr) == ("nothing\n", "")
    finally:
        SOCKET.chmod(0o600)
        SOCKET.parent.chmod(0o700)


@pytest.fixture
def promoting():
    """NUMA balancing is to promote."""
    with helpers.promotion_by("balancing"):
        yield


def test_balancing_does_not_keep_a_container_past_its_bound(promoting, container):
    # A promoted page is charged already, so no fence stops it: the agent has to notice and demote.
    container.fill()
    helpers.BALANCING.write_text("1")
    try:
        for _ in range(10):
            container.go_on()
            helpers.wait_until("back at the bound", lambda: container.sample()[0] <= BOUND + slack(BOUND))
    finally:
        helpers.BALANCING.write_text("0")
