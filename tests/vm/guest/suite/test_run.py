# SPDX-License-Identifier: Apache-2.0
"""`bede run`: a program without a container under a bound, checked by the kernel's figures."""

import contextlib
import json
import os
import subprocess
from pathlib import Path

import helpers
import pytest
from helpers import CGROUPS, DEADLINE, MIB, WORK, run, slack, wait_until
from on import PATCHED, STOCK, on

from vmlab.demo.sampler import Sampler

pytestmark = [on(STOCK), on(PATCHED, rarely=True), pytest.mark.usefixtures("unbalanced")]
BOUND, DEMAND = 32 * MIB, 96
UNSYSTEMD = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run/systemd && exec "$@"', "sh")


class Study:
    """`bede run` of the workload that a test controls."""

    def __init__(self, *options, before=(), wrap=()):
        self.gate = WORK / "study.gate"
        self.gate.mkdir(parents=True, exist_ok=True)
        self.gate.chmod(0o777)
        for left in self.gate.iterdir():
            left.unlink()
        self.steady = [helpers.STEADY, str(self.gate), str(DEMAND)]
        self.process = subprocess.Popen(
            [
                *before,
                "bede",
                "run",
                "--local",
                "32M",
                "--name",
                "study",
                *options,
                "--",
                *wrap,
                *self.steady,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        wait_until("it fills its memory", self._full)
        self.pid = next(
            pid
            for pid, words in helpers.command_lines()
            if [word.decode() for word in words[:-1]] == self.steady
        )
        self.cgroup = helpers.cgroup_of(self.pid)
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)
            self.process.communicate(timeout=DEADLINE)

    def _full(self):
        assert not self.process.poll(), self.process.communicate()
        return (self.gate / "full").exists()

    def sample(self):
        with contextlib.closing(Sampler(str(self.cgroup))) as sampler:
            return sampler.sample()[:2]

    def stop(self):
        (self.gate / "stop").touch()
        out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out, err


def held(study, bound=BOUND):
    """Check that local usage is below *bound* by the kernel's counters, and the rest on the far node."""
    local, far = study.sample()
    assert local <= bound + slack(bound)
    assert far >= DEMAND * MIB - bound - slack(bound)


def own_listing():
    done = run("bede", "ps", "--json")
    assert done.returncode == 0, done.stderr
    return [one for one in json.loads(done.stdout) if one["cgroup"].count("study")]


@pytest.mark.parametrize("before", [(), UNSYSTEMD], ids=["scope", "own cgroup"])
def test_a_program_is_bound_until_it_ends(before):
    with Study(before=before) as study:
        held(study)
        assert ("bede-study.scope" in str(study.cgroup)) == (not before)
        (one,) = own_listing()
        assert one["bound"] == BOUND
        assert CGROUPS / one["cgroup"][1:] == study.cgroup
        status, out, err = study.stop()
    assert (status, out, err) == (7, f"kept {DEMAND} MiB\n", "")
    helpers.nothing_left(study.cgroup)
    assert own_listing() == []


def test_its_bound_can_be_changed_by_its_name():
    with Study() as study:
        (one,) = own_listing()
        assert one["id"] == "study"
        assert run("bede", "set", "study", "16M").returncode == 0
        wait_until("the new bound is met", lambda: study.sample()[0] <= 16 * MIB + slack(16 * MIB))
        done = run("bede", "set", one["cgroup"], "64M")
        assert done.returncode == 0, done.stderr
        assert own_listing()[0]["bound"] == 64 * MIB
        assert study.stop()[0] == 7


def test_its_children_count_and_stay_bound_when_it_ends():
    with Study(wrap=("sh", "-c", '"$@" & true', "sh")) as study:
        assert study.process.wait(DEADLINE) == 0
        held(study)
        assert len(own_listing()) == 1
        os.kill(study.pid, 9)
        helpers.nothing_left(study.cgroup)


def test_as_another_user():
    done = run(
        "bede", "run", "--local", "32M", "--user", "nobody", "--", "sh", "-c", "id -u; id -G; echo $HOME"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["65534", "65534", "/nonexistent"]


def test_what_follows_the_command_is_its_own():
    """Options after the command are the command's, even if `bede run` has options of the same names."""
    done = run("bede", "run", "--local", "32M", "--user", "nobody", "id", "--user")
    assert (done.returncode, done.stdout, done.stderr) == (0, "65534\n", "")
    done = run("bede", "run", "--local", "32M", "printf", "%s ", "--user", "root", "--", "-v")
    assert (done.returncode, done.stdout, done.stderr) == (0, "--user root -- -v ", "")
    helpers.nothing_left()


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        (("true",), 0, ""),
        (("sh", "-c", "exit 9"), 9, ""),
        (("sh", "-c", "kill -TERM $$"), 143, ""),
        (("no-such-program",), 127, "no-such-program cannot be run: No such file or directory"),
        (("/etc/passwd",), 126, "/etc/passwd cannot be run: Permission denied"),
    ],
)
def test_exit_status(command, status, words):
    done = run("bede", "run", "--local", "32M", "--", *command)
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.count("\n") == bool(words)
    assert words in done.stderr
    helpers.nothing_left()


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--local", "lots"), 2, "lots"),
        (("--local", "1M"), 2, "smallest bound"),
        (("--local", "25%"), 2, "share of the memory limit"),
        (("--local", "32M", "--user", "no-one-here"), 2, "there is no user"),
        (("--local", "32M", "--name", "../up"), 2, "id"),
    ],
)
def test_what_is_refused_runs_nothing(options, status, words):
    mark = WORK / "ran"
    done = run("bede", "run", *options, "--", "touch", mark)
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert not mark.exists()
    helpers.nothing_left()
    assert not list(CGROUPS.glob("**/bede-run-*"))


def test_a_name_is_not_given_twice():
    with Study() as study:
        done = run("bede", "run", "--local", "32M", "--name", "study", "--", "true")
        assert done.returncode in (2, 3), done.stderr
        assert done.stderr.count("\n") == 1
        held(study)
        assert study.stop()[0] == 7
    helpers.nothing_left(study.cgroup)


def test_a_name_is_free_again_when_its_command_has_ended():
    for _ in range(5):
        done = run("bede", "run", "--local", "32M", "--name", "study", "--", "sh", "-c", "sleep 0 & wait")
        assert (done.returncode, done.stderr) == (0, "")
        assert not list(helpers.RECORDS.glob("*"))


def test_a_signal_is_passed_on():
    with Study() as study:
        study.process.terminate()
        assert study.process.wait(DEADLINE) == 128 + 15
    assert not Path(f"/proc/{study.pid}").exists()
    helpers.nothing_left(study.cgroup)


def test_only_root_may():
    done = run("setpriv", "--reuid", "65534", "--clear-groups", "bede", "run", "--local", "32M", "--", "true")
    assert done.returncode == 4
    assert "Use sudo" in done.stderr
