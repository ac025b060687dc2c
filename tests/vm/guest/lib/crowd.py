# SPDX-License-Identifier: Apache-2.0
"""Many small containers at once, on one bundle that has only a static program."""

import concurrent.futures
import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import helpers
from helpers import CGROUPS, EXAMPLES, RECORDS, WORK, WORKLOADS, run

from vmlab.demo.sampler import Sampler

BUNDLE = WORK / "crowd"


def make(bound, *command):
    """Make the bundle of all the containers: *command* of ``kinds`` under a *bound* in MiB."""
    if not (BUNDLE / "rootfs").exists():
        for name in ("proc", "dev", "sys", "tmp"):
            (BUNDLE / "rootfs" / name).mkdir(parents=True)
        shutil.copy(WORKLOADS / "kinds", BUNDLE / "rootfs/kinds")
    done = run(EXAMPLES / "runc" / "make-bundle", BUNDLE, f"{bound}M", "/kinds", *map(str, command))
    assert done.returncode == 0, done.stderr


def rename(name):
    """Make a bundle for *name* alone, which shares the program: runtimes keep files by bundle, too."""
    where = WORK / f"crowd-{name}"
    where.mkdir(exist_ok=True)
    config = json.loads((BUNDLE / "config.json").read_text())
    config["root"] = {"path": str(BUNDLE / "rootfs"), "readonly": True}
    (where / "config.json").write_text(json.dumps(config))
    return where


def once(name, runtime="crun"):
    """Run one container to its end. Returns its exit status."""
    done = run(runtime, "run", "--bundle", rename(name), name, timeout=300)
    shutil.rmtree(WORK / f"crowd-{name}", ignore_errors=True)
    assert done.returncode == 7, (name, done.returncode, done.stdout, done.stderr)
    return done.returncode


def start(name):
    """Start a container that stays."""
    done = run(
        "crun",
        "run",
        "--detach",
        "--bundle",
        rename(name),
        name,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        capture_output=False,
        timeout=300,
    )
    assert done.returncode == 0, name


def remove(name):
    """End the container and remove it."""
    done = run("crun", "delete", "--force", name, timeout=300)
    assert done.returncode == 0, (name, done.stderr)
    shutil.rmtree(WORK / f"crowd-{name}", ignore_errors=True)


def storm(action, names, at_once):
    """Do *action* on each of *names*, at most *at_once* at the same time."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        list(pool.map(action, names))


def local_usage():
    """{container: (local, bound, local and far)} in bytes, of all with a record, as the kernel counts."""
    found = {}
    for path in RECORDS.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            record = json.loads(path.read_text())
            with contextlib.closing(Sampler(str(CGROUPS) + record["cgroup"])) as sampler:
                local, far = sampler.sample()[:2]
                found[record["id"]] = (local, record["bound"], local + far)
    return found


class Traces:
    """Counts of everything of which a container must leave nothing behind."""

    def __init__(self):
        agent = helpers.agent_pid()
        self.cgroups = {path for path in helpers.cgroups() if "user.slice" not in path}
        self.mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
        self.files = {str(path) for path in Path("/run/bede/containers").glob("*")}
        self.descriptors = len(os.listdir(f"/proc/{agent}/fd")) if agent else 0
        self.threads = len(os.listdir(f"/proc/{agent}/task")) if agent else 0

    def gone(self, before):
        """Whether there is nothing that was not there *before*."""
        return all(found <= vars(before)[name] for name, found in vars(self).items())

    def __str__(self):
        return (
            f"{self.cgroups} {self.mounts} mounts {self.files} {self.descriptors} fds {self.threads} threads"
        )


def nothing_new(before):
    """Wait until there is nothing left that was not *before*."""
    last = None

    def gone():
        nonlocal last
        last = Traces()
        return last.gone(before)

    try:
        helpers.wait_until("everything is gone", gone)
    except AssertionError as error:
        raise AssertionError(f"left: {last}\nbefore: {before}") from error


def memory(pid):
    """Resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def idle_share(pid, seconds):
    """The part of one CPU that *pid* uses over *seconds*."""
    before = cpu_ns(pid)
    time.sleep(seconds)
    return (cpu_ns(pid) - before) / seconds / 1e9


def cpu_ns(pid):
    """Nanoseconds on a CPU of all threads of *pid* so far."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(path.read_text().split()[0])
    return total
