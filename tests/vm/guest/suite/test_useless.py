# SPDX-License-Identifier: Apache-2.0
"""Bounds without an effect cause a warning only; a configuration that swaps local and far is refused."""

import json
from pathlib import Path

import pytest
from helpers import MIB, PLAIN, PODMAN, Container, command_line, configured, run, wait_until
from on import PATCHED, STOCK, on, rarely

pytestmark = [on(STOCK), on(PATCHED, rarely=True)]

LOCAL = int(Path("/sys/devices/system/node/node0/meminfo").read_text().split()[3]) // 1024
#: (annotations, the engine's memory limit, the message)
USELESS = (
    ({"bede.local": "128M"}, "64M", "its bound of 128M has no effect: its memory limit is 64M"),
    ({"bede.local": "100%"}, "64M", "its bound of 64M has no effect: its memory limit is 64M"),
    ({"bede.local": "1T"}, None, f"its bound of 1T has no effect: all local memory is {LOCAL}M"),
)
KINDS = ("more", "all", "more than there is")


def start(runtime, annotations, limit):
    """Run a container that prints "started". Returns its status, stdout and stderr."""

    def edit(config):
        if limit:
            memory = {"limit": int(limit[:-1]) * MIB}
            config["linux"].setdefault("resources", {})["memory"] = memory

    engine = ("--memory", limit) if limit and runtime not in PLAIN else ()
    line = command_line(runtime, "useless", ["echo", "started"], annotations, engine, edit)
    if runtime not in PODMAN:
        return run(*line)
    # With Podman the runtime writes to the container's stderr, of which Podman may miss the beginning.
    done = run(*(word for word in line if word != "--rm"))
    logs = run("podman", "logs", "useless")
    assert run("podman", "rm", "-f", "useless").returncode == 0
    done.stderr += logs.stdout + logs.stderr
    return done


def started(runtime, annotations, limit, says):
    done = start(runtime, annotations, limit)
    assert (done.returncode, done.stdout) == (0, "started\n"), done.stderr
    lines = {line for line in done.stderr.splitlines() if "bede" in line}
    assert len(lines) == 1, done.stderr
    assert f"{says}. Ask for less than that." in lines.pop()


@pytest.mark.parametrize(("annotations", "limit", "says"), USELESS, ids=KINDS)
@on(STOCK)
@on(PATCHED)
def test_a_container_starts_and_one_line_says_so(annotations, limit, says):
    started("runc", annotations, limit, says)


@pytest.mark.parametrize("runtime", ("crun", *PODMAN))
def test_every_engine_shows_the_first_of_them(runtime):
    started(runtime, *USELESS[0])


@pytest.mark.parametrize(("annotations", "limit", "says"), USELESS[1:], ids=KINDS[1:])
@pytest.mark.parametrize("runtime", rarely("crun", *PODMAN))
def test_every_engine_shows_the_others(runtime, annotations, limit, says):
    started(runtime, annotations, limit, says)


@pytest.mark.parametrize("runtime", ("runc", "podman-crun"))
def test_of_a_bound_that_holds_there_is_no_word(runtime):
    done = start(runtime, {"bede.local": "32M"}, "64M")
    assert (done.returncode, done.stdout) == (0, "started\n"), done.stderr
    assert "bede" not in done.stderr


@on(STOCK)
@on(PATCHED)
def test_docker_shows_what_is_said():
    done = start("docker", *USELESS[0][:2])
    assert (done.returncode, done.stdout) == (0, "started\n"), done.stderr
    # On a patched kernel there is no hook: the wrapper prints the warning.
    assert USELESS[0][2] in done.stderr


@on(STOCK)
@on(PATCHED)
def test_a_command_says_it_on_its_own_standard_error():
    done = run("bede", "run", "--local", "1T", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (0, "started\n")
    (line,) = done.stderr.splitlines()
    assert f"has no effect: all local memory is {LOCAL}M" in line


def test_so_does_a_new_bound_and_the_journal():
    with Container("runc", "useless", "32M", 16) as container:
        done = run("bede", "set", "useless", "1T")
        assert (done.returncode, done.stdout) == (0, "useless: bound 1T\n")
        assert done.stderr.count("\n") == 1
        assert f"has no effect: all local memory is {LOCAL}M" in done.stderr
        done = run("bede", "set", "useless", "max")
        assert (done.returncode, done.stderr) == (0, "")
        container.stop()


@on(STOCK)
def test_the_journal_says_it():
    def told():
        words = ("journalctl", "-q", "-o", "json", "--no-pager", "-u", "bede-agent", "BEDE_EVENT=useless")
        return [json.loads(line) for line in run(*words).stdout.splitlines()]

    with Container("runc", "uselessly", f"{LOCAL + 1}M", 16) as container:
        wait_until("it is told", lambda: [one for one in told() if one["BEDE_CONTAINER"] == "uselessly"])
        container.stop()


@pytest.fixture
def far_and_near():
    """Call node 0 far, the only node with CPUs."""
    with configured("far_nodes: [0]\n"):
        yield


@pytest.mark.usefixtures("far_and_near")
def test_what_is_near_to_every_cpu_is_not_called_far():
    words = ("names node 0, and no other has CPUs", "far_nodes: [1]")
    for runtime in ("runc", "podman-crun"):
        done = start(runtime, {"bede.local": "32M"}, None)
        assert done.returncode != 0
        assert "started" not in done.stdout
        assert all(word in done.stderr for word in words), done.stderr
    done = run("bede", "run", "--local", "32M", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (3, "")
    assert all(word in done.stderr for word in words), done.stderr
    done = run("bede", "doctor")
    assert done.returncode == 3
    assert "no other has CPUs" in " ".join(done.stdout.split())
