# SPDX-License-Identifier: Apache-2.0
"""Bad input: the runtime shows its user one line, the exit status is as documented, and nothing is left."""

import json
import os
import subprocess

import helpers
import pytest
from helpers import WORK, nothing_left
from on import on, rarely

pytestmark = [on("debian-6.12"), pytest.mark.usefixtures("unbalanced")]

HOOK = "/usr/bin/bede-hook"
CONFIG = "/etc/bede/config.yaml"
BAD = (
    ({"bede.locl": "64M"}, "'bede.locl' is not one of Bede's", "Did you mean bede.local"),
    ({"bede.local": "12Q"}, "'12Q' is not an amount of memory", "Write bytes or a size"),
    ({"bede.local": "1M"}, "less than the smallest bound", "Ask for 4M or more"),
    ({"bede.local": "25%"}, "a share of the memory limit, and there is none", "Give the container a limit"),
    (
        {"bede.local": "64M", "bede.local.1": "32M"},
        "node 1 is not a local node of this host",
        "The local nodes are 0",
    ),
)


@pytest.fixture
def config():
    """A function that writes the host's configuration, which is removed afterwards."""
    os.makedirs("/etc/bede", exist_ok=True)

    def write(text, mode=0o644):
        with open(CONFIG, "w") as file:
            file.write(text)
        os.chmod(CONFIG, mode)

    yield write
    os.unlink(CONFIG)


@pytest.fixture
def alone():
    """The pid of a process in a cgroup of its own, as a container's process is."""
    group = helpers.CGROUPS / "alone"
    group.mkdir()
    sleeper = subprocess.Popen(["sleep", "60"])
    (group / "cgroup.procs").write_text(str(sleeper.pid))
    yield sleeper.pid
    sleeper.kill()
    sleeper.wait()
    group.rmdir()


def refused(done, *says):
    """Check that one line of the output has all the words *says*, and that there is no traceback."""
    text = (done.stdout + done.stderr).replace("\\n", "\n")
    assert done.returncode != 0, text
    assert "Traceback" not in text
    assert "started" not in done.stdout
    lines = [line for line in text.splitlines() if "bede" in line and all(word in line for word in says)]
    assert len(lines) == 1, text
    nothing_left()


def start(runtime, annotations, **options):
    line = helpers.command_line(runtime, "refused", ["echo", "started"], annotations, **options)
    return helpers.run(*line)


@pytest.mark.parametrize(("annotations", "wrong", "todo"), BAD, ids=lambda value: str(value)[:24])
def test_bad_annotation(annotations, wrong, todo):
    refused(start("crun", annotations), wrong, todo)


@pytest.mark.rarely
@pytest.mark.parametrize("runtime", ("podman-crun", "docker", *rarely("podman-runc", "ctr")))
def test_engine_shows_what_its_runtime_was_told(runtime):
    # The hook notices this, also with docker and ctr, since the wrapper does not know the nodes.
    annotations, wrong, todo = BAD[-1]
    line = helpers.command_line(runtime, "refused", ["echo", "started"], annotations)
    before = helpers.cgroups()
    refused(helpers.run(*line), wrong, todo)
    helpers.wait_until("its cgroup is removed", lambda: helpers.cgroups() <= before)


@pytest.mark.parametrize(("annotations", "wrong", "todo"), BAD[:4], ids=lambda value: str(value)[:24])
def test_wrapper_refuses_before_the_runtime(annotations, wrong, todo):
    where = helpers.bundle("wrapped", ["echo", "started"], "64M")
    config = json.loads((where / "config.json").read_text())
    config["annotations"] = annotations
    del config["hooks"]
    (where / "config.json").write_text(json.dumps(config))
    log = WORK / "log"
    done = helpers.run("bede-runtime", "--log", log, "--log-format", "json", "run", "--bundle", where, "w")
    assert done.returncode == 2
    refused(done, wrong, todo)
    assert wrong in json.loads(log.read_text())["msg"]


def test_cpuset_without_the_far_node():
    def edit(config):
        config["linux"]["resources"] = {"cpu": {"mems": "0"}}

    refused(start("runc", {"bede.local": "32M"}, edit=edit), "no far node", "add node 1")


def test_memory_that_is_not_delegated():
    group = helpers.CGROUPS / "undelegated"
    (group / "inner").mkdir(parents=True)
    (group / "cgroup.subtree_control").write_text("-memory")
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (group / "inner" / "cgroup.procs").write_text(str(sleeper.pid))
        done = hook("createRuntime", pid=sleeper.pid)
        assert done.returncode == 3
        refused(done, "memory controller is not delegated", "cgroup.subtree_control")
    finally:
        sleeper.kill()
        sleeper.wait()
        (group / "inner").rmdir()
        group.rmdir()


def hook(stage, text=None, user=None, **changes):
    """Call the hook as a runtime would, with a made-up state."""
    state = {"ociVersion": "1.0.2", "id": "by-hand", "status": "created", "pid": os.getpid()}
    state |= {"bundle": "/tmp/by-hand", "annotations": {"bede.local": "64M"}} | changes
    options = {} if user is None else {"user": user}
    return helpers.run(HOOK, stage, input=json.dumps(state) if text is None else text, stdin=None, **options)


@pytest.mark.parametrize(
    ("text", "says"),
    (
        ("", "no container state on standard input"),
        ("{", "is not JSON"),
        ("[]", "not a JSON object"),
        ('{"id": "../../etc", "pid": 1, "bundle": "/b"}', "is not one Bede accepts"),
        ('{"id": "a", "pid": "one", "bundle": "/b"}', "is not a process number"),
        ('{"id": "a", "pid": 1}', "no absolute bundle path"),
    ),
)
def test_state_that_is_none(text, says):
    done = hook("createRuntime", text)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    refused(done, says)


def test_not_root():
    done = hook("createRuntime", user="nobody")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    refused(done, "not root", "Call bede-hook as an OCI hook")


def test_process_that_is_gone():
    done = hook("createRuntime", pid=(1 << 22) - 1)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    refused(done, "is gone")


def test_bundle_that_cannot_be_read():
    where = helpers.bundle("real", ["echo", "started"], "64M")
    link = WORK / "link"
    link.symlink_to(where)
    for bundle in (WORK / "none", link):
        done = helpers.run("bede-runtime", "run", "--bundle", bundle, "w")
        assert (done.returncode, done.stderr.count("\n")) == (5, 1)
        refused(done, "cannot be read", "A bundle is a directory")
    (where / "config.json").rename(where / "other.json")
    (where / "config.json").symlink_to("other.json")
    done = helpers.run("bede-runtime", "run", "--bundle", where, "w")
    assert done.returncode == 5
    refused(done, "config.json", "cannot be read")


def test_real_runtime_that_is_missing(config):
    where = helpers.bundle("real", ["echo", "started"], "64M")
    config("runtime: /usr/bin/no-such-runtime\n")
    done = helpers.run("bede-runtime", "run", "--bundle", where, "w")
    assert done.returncode == 5
    refused(done, "/usr/bin/no-such-runtime is not there", "Install runc or crun")


@pytest.mark.parametrize(
    ("text", "mode", "status", "says"),
    (
        ("runtime runc\n", 0o644, 2, "line 1: not of the form key: value"),
        ("on_unsupported: maybe\n", 0o644, 2, "line 1: on_unsupported is neither refuse nor warn"),
        ("\nfar: [1]\n", 0o644, 2, "line 2: unknown key 'far'"),
        ("far_nodes: [7]\n", 0o644, 3, "names node 7, which has no memory here"),
        ("runtime: runc\n", 0o666, 4, "can be changed by others than root"),
    ),
)
def test_configuration_with_a_mistake(config, alone, text, mode, status, says):
    config(text, mode)
    done = hook("createRuntime", pid=alone)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1)
    refused(done, says)
    refused(start("crun", {"bede.local": "32M"}), says)


def test_bad_input_leaves_no_directory_behind():
    left = os.listdir("/run/bede")
    assert set(left) <= {"agent.sock", "agent.lock", "containers", "bounds"}
