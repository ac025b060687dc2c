# SPDX-License-Identifier: Apache-2.0
"""Containers' names: every list and the journal have the names that the engines have now."""

import csv
import json
import subprocess

import pytest
from helpers import IS_PATCHED, PODMAN, WORK, Container, run, wait_until
from on import PATCHED, STOCK, on, rarely

pytestmark = [on(STOCK), on(PATCHED, rarely=True)]
FRONTEND = ("shop-frontend-web-1", "shop-frontend-web-2")


def listed():
    done = run("bede", "ps", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def said(container):
    """The agent's journal lines about the container with this full id: (event, name, text)."""
    line = ("journalctl", "-q", "-o", "json", "--no-pager", "-u", "bede-agent", f"BEDE_CONTAINER={container}")
    found = [json.loads(text) for text in run(*line).stdout.splitlines()]
    return [(one["BEDE_EVENT"], one.get("BEDE_NAME"), one["MESSAGE"]) for one in found]


def recorded(out):
    """The names in a recording."""
    return [row["name"] for row in csv.DictReader(out.read_text().splitlines())]


@pytest.mark.parametrize(
    ("runtime", "options"),
    [
        (PODMAN[0], ()),
        *rarely(("docker", ()), (PODMAN[1], ()), (PODMAN[0], ("--cgroup-manager=cgroupfs",))),
    ],
)
def test_a_new_name_is_seen(runtime, options):
    """By commands that start now, by commands that run already, and by the agent."""
    out = WORK / "renamed.csv"
    with Container(runtime, "before", "32M", 8, options=options) as container:
        container.fill()
        (one,) = listed()
        assert (one["name"], len(one["id"])) == ("before", 64)
        recorder = subprocess.Popen(["bede", "record", "-q", "--force", "-o", out])
        wait_until("it is recorded", lambda: out.exists() and "before" in recorded(out))
        engine = runtime.partition("-")[0]
        done = run(engine, "rename", "before", "after")
        assert done.returncode == 0, done.stderr
        assert [one["name"] for one in listed()] == ["after"]
        assert run("bede", "ps", "--names").stdout.split() == ["after", one["id"][:12]]
        done = run("bede", "set", "after", "24M")
        assert (done.returncode, done.stdout, done.stderr) == (0, "after: bound 24M\n", "")
        assert run("bede", "set", "before", "24M").returncode == 2
        wait_until("the recording has its new name", lambda: recorded(out)[-1] == "after")
        recorder.terminate()
        assert recorder.wait() == 0
        container.stop()
    if IS_PATCHED:
        return  # there need be no agent
    told = wait_until("its end is told", lambda: said(one["id"]) if len(said(one["id"])) >= 3 else None)
    assert [(event, name) for event, name, _ in told] == [
        ("bound", "before"),
        ("set", "after"),
        ("ended", "after"),
    ]
    for _, name, text in told:
        assert text.startswith(f"container {name} ({one['id'][:12]}): ")
        assert one["id"] not in text


@pytest.mark.rarely
def test_ids_that_were_chosen_are_told_apart():
    with (
        Container("runc", FRONTEND[0], "32M", 8) as first,
        Container("crun", FRONTEND[1], "32M", 8) as second,
    ):
        first.fill()
        second.fill()
        lines = run("bede", "ps").stdout.splitlines()[1:]
        assert sorted(line.split()[0] for line in lines) == [*FRONTEND]
        lines = run("bede", "stats", "--interval", "0.1").stdout.splitlines()[1:]
        assert sorted(line.split()[0] for line in lines) == [*FRONTEND]
        assert sorted(run("bede", "ps", "--names").stdout.split()) == [*FRONTEND]
        for name in FRONTEND:
            assert run("bede", "set", name, "24M").stdout == f"{name}: bound 24M\n"
        first.stop()
        second.stop()
    if not IS_PATCHED:
        told = wait_until("it is told", lambda: said(FRONTEND[0]))
        assert all(text.startswith(f"container {FRONTEND[0]}: ") for _, _, text in told)
