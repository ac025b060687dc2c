# SPDX-License-Identifier: Apache-2.0
"""Installs, upgrades, removes and purges the Debian package on a host without Bede.

tests/vm/test_package.py runs this in a bare machine, with an older package and this checkout's at /share.
"""

import json
import os
import subprocess
import threading
from pathlib import Path

import helpers
from helpers import MIB, agent_pid, pid_of, records, run, shown, slack, wait_until

OLD, NEW = "/share/old.deb", "/share/new.deb"
BOUND, DEMAND = 16 * MIB, 48
OWN_HIGH = 512 * MIB  #: the memory.high that one of the containers has from its user
LIBRARY = Path("/usr/lib/bede")
CONF = Path("/etc/bede/config.yaml")
HOOKS = Path("/usr/share/containers/oci/hooks.d")
DAEMON = Path("/etc/docker/daemon.json")
METRICS = "bede-metrics.service"
UNITS = ("bede-agent.service", "bede-agent.socket")
#: files of dpkg, of containers, and bytecode of modules that are not Bede's
IGNORED = ("/var/lib/dpkg", "/var/lib/containers", "/var/lib/docker", "/var/lib/containerd", "/var/log")
IGNORED += ("/usr/lib/bede-tests",)


def listing():
    """Every file and directory that the package could have left behind."""
    found = set()
    for top in ("/etc", "/usr", "/var"):
        for where, directories, files in os.walk(top):
            if where.startswith(IGNORED):
                directories.clear()
                continue
            names = [f"{where}/{name}" for name in directories + files]
            found |= {name for name in names if "bede" in name or "__pycache__" not in name}
    return {name for name in found if not name.startswith(IGNORED)}


def dpkg(*words):
    """Run dpkg as an administrator without a terminal would."""
    return run("dpkg", *words, env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))


def done(*words):
    """Run dpkg, which must not fail. Returns its output."""
    found = dpkg(*words)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout + found.stderr


def state(unit, question):
    """The answer of `systemctl QUESTION UNIT`, such as is-active or is-enabled."""
    return run("systemctl", question, unit).stdout.strip()


def version():
    return run("bede", "--version").stdout.strip()


class Watch(threading.Thread):
    """Records the highest local usage of a container while something else happens."""

    def __init__(self, container):
        super().__init__()
        self.container, self.over, self.most = container, threading.Event(), 0

    def run(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, self.container.sample()[0])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join()


def bound(*containers):
    """Check that each container goes on, at its bound."""
    for container in containers:
        container.go_on()
        assert container.sample()[0] <= BOUND + slack(BOUND)


turned_on = set()  #: units that the administrator has enabled besides the agent; a removal keeps that


def installed(expected):
    """Check that version *expected* is installed, and that the agent and the enabled units run."""
    assert version() == f"bede {expected}"
    for unit in UNITS:
        assert (state(unit, "is-active"), state(unit, "is-enabled")) == ("active", "enabled"), unit
    others = {path.name for path in Path("/usr/lib/systemd/system").glob("bede-*")} - {*UNITS}
    for unit in others - {"bede-run.service", "bede-run.target"}:
        wanted = ("active", "enabled") if unit in turned_on else ("inactive", "disabled")
        assert (state(unit, "is-active"), state(unit, "is-enabled")) == wanted, unit
    assert list(LIBRARY.glob("ocihook/__pycache__/hook.*.pyc")), "not compiled: every hook would be slow"
    assert len(list(HOOKS.glob("bede-*.json"))) == 3
    assert run("dpkg", "--verify", "bede").stdout.replace(f"??5?????? c {CONF}\n", "") == ""


def texts():
    """Check the manual pages, the completion and the documents."""
    pages = {path.name for path in Path("/usr/share/man").glob("man?/bede*")}
    assert {"bede.1.gz", "bede-ps.1.gz", "bede-set.1.gz", "bede-hook.8.gz", "bede-runtime.8.gz"} <= pages
    script = "/usr/share/bash-completion/completions/bede"
    assert "_shtab_bede" in run("bash", "-c", f". {script}; complete -p bede").stdout
    assert run("bash", "-n", script).returncode == 0
    assert Path("/usr/share/doc/bede/README.md").exists()
    shown = run("bede", "--help").stdout
    assert "\n  ps " in shown
    assert "\n  vm " not in shown


def upgrade(*containers):
    """Upgrade to the newer version while containers run."""
    assert run("systemctl", "enable", "--now", METRICS).returncode == 0
    turned_on.add(METRICS)
    metrics = pid_of(METRICS)
    before, edited = agent_pid(), CONF.read_text() + "# an administrator's own\n"
    CONF.write_text(edited)
    assert (LIBRARY / "ocihook/gone.py").exists()
    with Watch(containers[0]) as watch:
        said = done("-i", NEW)
    assert "Traceback" not in said, said
    installed(os.environ["BEDE_VERSION"])
    assert not list(LIBRARY.rglob("gone*"))
    assert pid_of(METRICS) not in (0, metrics), "it would go on with the old version's code"
    assert CONF.read_text() == edited
    assert watch.most <= BOUND + slack(BOUND)
    assert agent_pid() not in (0, before)
    bound(*containers)
    held = {one["pid"] for one in json.loads(run("bede", "ps", "--json").stdout)}
    assert held == {container.pid for container in containers} == {record["pid"] for record in records()}


def refused(*containers):
    """Check that a removal is refused if only bede-runtime can stop a container, or Docker would break."""
    assert run("bede", "configure", "docker").returncode == 0
    assert run("systemctl", "reload", "docker").returncode == 0
    runtimes = ("docker", "info", "--format", "{{json .Runtimes}}")
    wait_until("Docker has taken notice", lambda: "bede" in run(*runtimes).stdout)
    with helpers.Container("docker", "held", "16M", 24) as container:
        container.fill()
        found = dpkg("-r", "bede")
        assert found.returncode != 0
        assert "nothing could stop them" in found.stderr
        installed(os.environ["BEDE_VERSION"])
        bound(*containers)
        assert container.stop()[0] == 7
    configured = DAEMON.read_text()
    assert "bede-runtime" in configured
    DAEMON.write_text(configured.replace("}", "", 1))
    found = dpkg("-r", "bede")
    assert found.returncode != 0
    assert f"docker's configuration; take it out of {DAEMON}" in found.stderr
    installed(os.environ["BEDE_VERSION"])
    bound(*containers)
    DAEMON.write_text(configured)


def remove(plain, limited):
    """Remove the package: containers go on without a bound, and the configuration stays."""
    edited, agent, metrics = CONF.read_text(), agent_pid(), pid_of(METRICS)
    said = done("-r", "bede")
    assert "2 containers let go" in said, said
    assert "Traceback" not in said, said
    assert plain.read("memory.high") == "max"
    assert limited.read("memory.high") == str(OWN_HIGH)
    assert records() == []
    for container in (plain, limited):
        container.go_on()
    for pid in (agent, metrics):
        assert not Path(f"/proc/{pid}").exists()
    for unit in (*UNITS, METRICS):
        assert shown(unit, "LoadState") == "not-found"
    assert not LIBRARY.exists(), list(LIBRARY.rglob("*"))
    assert not list(HOOKS.glob("bede*"))
    assert not DAEMON.exists() or "bede" not in DAEMON.read_text()
    assert CONF.read_text() == edited
    # The containers' bundles still name the hooks, which are gone.
    for container in (plain, limited):
        status, out, err = container.stop()
        assert (status, out.splitlines()[-1:]) == (7, [f"kept {DEMAND} MiB"]), err


def main():
    """Run all steps, one after the other."""
    Path("/usr/sbin/policy-rc.d").unlink(missing_ok=True)  # starts units at an installation, as a host does
    for excludes in Path("/etc/dpkg/dpkg.cfg.d").iterdir():
        if "path-exclude" in excludes.read_text():
            excludes.unlink()
    helpers.BALANCING.write_text("0")
    helpers.WORK.mkdir()
    LIBRARY.rmdir()
    for engine in ("podman", "docker"):
        helpers.have_image(engine)
    before = listing()
    done("-i", OLD)
    installed("0.0.1")
    print("installed")
    with (
        helpers.Container("podman-crun", "plain", "16M", DEMAND) as plain,
        helpers.Container(
            "podman-crun", "own", "16M", DEMAND, options=[f"--cgroup-conf=memory.high={OWN_HIGH}"]
        ) as limited,
    ):
        bound(plain.fill(), limited.fill())
        assert {record["user_high"] for record in records()} == {None, OWN_HIGH}
        upgrade(plain, limited)
        texts()
        print("upgraded")
        refused(plain, limited)
        print("refused")
        remove(plain, limited)
        print("removed")
    done("-i", NEW)
    installed(os.environ["BEDE_VERSION"])
    assert "an administrator's own" in CONF.read_text()
    done("-P", "bede")
    assert listing() - before == set()
    assert not Path("/run/bede").exists()
    assert subprocess.run(["dpkg", "-s", "bede"], capture_output=True).returncode != 0
    print("purged")


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)  # started programs must find installed modules only
    main()
