# SPDX-License-Identifier: Apache-2.0
"""Rootless Podman: a user's own containers are held by the fence alone, or refused with one clear line."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import children
import helpers
import pytest
from helpers import MIB, WORKLOADS, run, slack, wait_until
from on import on
from sampling import Sampling

pytestmark = [on("debian-7.3"), pytest.mark.usefixtures("unbalanced", "swap")]
BOUND = 32
DEMAND = 128
USER, UID = "bob", 1000
RUNTIME = Path(f"/run/user/{UID}")
DEMOTION = Path("/sys/kernel/mm/numa/demotion_enabled")
MANAGER = f"user@{UID}.service"
UNITS = {
    # The machine has no logind and no session bus, which would set these up on a host where people log in.
    f"/run/systemd/system/{MANAGER}.d/runtime.conf": f"[Service]\nEnvironment=XDG_RUNTIME_DIR={RUNTIME}\n",
    "/run/systemd/user/dbus.socket": "[Socket]\nListenStream=%t/bus\n",
    "/run/systemd/user/dbus.service": "[Unit]\nRequires=dbus.socket\n[Service]\n"
    "ExecStart=/usr/bin/dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation\n",
}
LOAD = f"exec {WORKLOADS}/loads anon {DEMAND} 1 6"


@pytest.fixture(scope="module")
def bob():
    """A user with a systemd session, D-Bus and an image. Yields the words that run a command as that user."""
    for name, text in UNITS.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    wants = Path("/run/systemd/user/sockets.target.wants")
    wants.mkdir(exist_ok=True)
    (wants / "dbus.socket").symlink_to("../dbus.socket")
    subprocess.run(["useradd", "-m", USER], check=True)
    for name in ("/etc/subuid", "/etc/subgid"):
        Path(name).write_text("")  # the machine has no newuidmap, and one user is enough
    RUNTIME.mkdir(parents=True)
    os.chown(RUNTIME, UID, UID)
    RUNTIME.chmod(0o700)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "start", MANAGER], check=True)
    image = shutil.copy("/usr/share/bede-vm/rootfs.tar", f"/home/{USER}/rootfs.tar")
    os.chown(image, UID, UID)
    line = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "env", "-C", f"/home/{USER}"]
    line += [f"HOME=/home/{USER}", f"XDG_RUNTIME_DIR={RUNTIME}"]
    line += [f"DBUS_SESSION_BUS_ADDRESS=unix:path={RUNTIME}/bus"]
    done = run(*line, "podman", "import", "-q", image, "own")
    assert done.returncode == 0, done.stderr
    yield line
    subprocess.run(["systemctl", "stop", MANAGER], check=True)
    subprocess.run(["userdel", "-r", USER], check=False, capture_output=True)
    for name in UNITS:
        Path(name).unlink()
    (wants / "dbus.socket").unlink()
    subprocess.run(["systemctl", "daemon-reload"], check=True)


@pytest.fixture
def demotion():
    before = DEMOTION.read_text()
    DEMOTION.write_text("1")
    yield
    DEMOTION.write_text(before)


def start(bob, *options):
    """The command that starts a container with a bound."""
    own = ["--annotation", f"bede.local={BOUND}M", "--network", "none", "-v", "/usr:/usr:ro"]
    return [*bob, "podman", "run", "--rm", *own, *options, "localhost/own", "sh", "-c", LOAD]


def test_the_fence_alone_holds_a_users_bound(bob, demotion):
    with subprocess.Popen(start(bob), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as podman:
        pid = wait_until("it runs", lambda: children.running("loads"))[0]
        cgroup = helpers.cgroup_of(pid)
        assert "user.slice" in str(cgroup)
        with Sampling(cgroup) as sampling:
            out, err = podman.communicate(timeout=helpers.DEADLINE)
        assert podman.returncode == 0, err
        assert f"anon {DEMAND} MiB" in out
    assert sampling.highest <= BOUND * MIB + slack(BOUND * MIB)
    assert max(row["swap"] for row in sampling.rows) == 0
    assert sampling.total >= DEMAND * MIB
    records = RUNTIME / "bede/containers"
    wait_until("its record is gone", lambda: not list(records.glob("*")))
    assert helpers.records() == []
    wait_until("the user's agent ends", lambda: not (set(helpers.processes("agent")) - {helpers.agent_pid()}))


@pytest.mark.rarely
def test_a_user_sees_and_sets_its_own_only(bob, demotion):
    with (
        helpers.Container("crun", "roots", f"{BOUND}M", 16),
        subprocess.Popen(start(bob, "--name", "bobs"), stdout=subprocess.DEVNULL) as podman,
    ):
        listed = wait_until("it is held", lambda: rows(run(*bob, "bede", "ps")))
        assert len(listed) == 1
        assert listed[0].split()[1:3] == ["bobs", f"{BOUND}M"]
        id = listed[0].split()[0]
        assert run(*bob, "bede", "set", id, "48M").returncode == 0
        refused = run(*bob, "bede", "set", "roots", "48M")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert [one["bound"] for one in helpers.listed().values()] == [BOUND * MIB]
        assert podman.wait(60) == 0
    wait_until("the user's agent ends", lambda: not (set(helpers.processes("agent")) - {helpers.agent_pid()}))


def test_a_users_record_that_holds_something_else_is_made_anew(bob, demotion):
    line = start(bob, "--name", "spoiled")[:-1]
    with subprocess.Popen([*line, "sleep 100"], stdout=subprocess.DEVNULL) as podman:
        path = wait_until("it is bound", lambda: list((RUNTIME / "bede/containers").glob("*.json")))[0]
        before = path.read_text()
        own = wait_until("it is held", lambda: set(helpers.processes("agent")) - {helpers.agent_pid()})
        for pid in own:
            os.kill(pid, signal.SIGKILL)
        path.write_text("{")
        agent = [*bob, "podman", "unshare", "env", "BEDE_ON_DEMAND=1", "bede", "agent"]
        with subprocess.Popen(agent, stderr=subprocess.DEVNULL):
            wait_until("its record is made anew", lambda: path.read_text() == before)
            assert len(rows(run(*bob, "bede", "ps"))) == 1
            assert run(*bob, "podman", "kill", "spoiled").returncode == 0
            podman.wait(60)
    wait_until("its record is gone", lambda: not path.exists())


def rows(done):
    """The containers in the output of `bede ps`."""
    return done.stdout.splitlines()[1:] if done.returncode == 0 else []


def said(done, words):
    """Check that the hook's one line has *words*; an engine may show it more than once."""
    lines = {line[line.index("bede-hook:") :] for line in done.stderr.splitlines() if "bede-hook:" in line}
    assert len({line.partition(": OCI")[0].rstrip(".") for line in lines}) == 1, done.stderr
    assert all(words in line for line in lines)
    assert "Traceback" not in done.stderr


def test_a_host_whose_demotion_is_off_is_said_in_one_line(bob):
    DEMOTION.write_text("0")
    done = run(*start(bob))
    assert done.returncode != 0
    said(done, "demotion is off and cannot be turned on: Permission denied")
    assert not list((RUNTIME / "bede").glob("containers/*"))


def test_a_cgroup_that_is_not_the_users_is_said_in_one_line(bob, demotion):
    done = run(*start([*bob[:-1], "DBUS_SESSION_BUS_ADDRESS="], "--cgroups=disabled"))
    assert done.returncode != 0
    said(done, "no cgroup of its own")
    assert not list((RUNTIME / "bede").glob("containers/*"))
