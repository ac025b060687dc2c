# SPDX-License-Identifier: Apache-2.0
"""Containers with children of every kind, and the kernel's word on where these processes are."""

import contextlib
import os
import shutil
import subprocess
import time

import helpers
from helpers import CGROUPS, WORK, WORKLOADS, cgroup_of, command_lines, run, wait_until

KINDS = ("fork", "vfork", "spawn", "clone", "clone3", "newpid", "newcgroup", "own", "daemon", "thread")
LEAVING = ("born-outside", "newpid-outside", "left", "daemon-outside")
EACH = 8  #: MiB that each child touches
BOUND = 32


class Outside:
    """A cgroup beside the container's; a context manager that removes it."""

    path = CGROUPS / "outside"

    def __enter__(self):
        (CGROUPS / "cgroup.subtree_control").write_text("+memory")
        self.path.mkdir(exist_ok=True)
        return self

    def __exit__(self, *exc):
        for pid in (self.path / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        wait_until("the cgroup outside is empty", self._gone)

    def _gone(self):
        with contextlib.suppress(OSError):
            self.path.rmdir()
        return not self.path.exists()


def _bundle_edit(config):
    capabilities = config["process"].setdefault("capabilities", {})
    for kind in ("bounding", "effective", "permitted"):
        capabilities.setdefault(kind, []).extend(["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_KILL"])
    config["process"]["noNewPrivileges"] = False
    namespaces = config["linux"]["namespaces"]
    config["linux"]["namespaces"] = [one for one in namespaces if one["type"] != "cgroup"]


def _host_pids(config):
    _bundle_edit(config)
    namespaces = config["linux"]["namespaces"]
    config["linux"]["namespaces"] = [one for one in namespaces if one["type"] != "pid"]


class Family:
    """One container that runs ``kinds``, or another *command*."""

    def __init__(
        self, runtime, name, command, *, bound=BOUND, host_pids=False, privileged=True, private=False
    ):
        shutil.copy(WORKLOADS / "kinds", WORK / "kinds")
        self.name = name
        self.runtime = runtime
        self.lingers = host_pids  # its children do not end with its first process
        options = ["-i"]
        if privileged:
            options += ["--privileged", f"--cgroupns={'private' if private else 'host'}"]
        if host_pids:
            options.append("--pid=host")
        if runtime in helpers.PLAIN:
            options = []
        edit = (_host_pids if host_pids else _bundle_edit) if privileged else None
        notes = {"bede.local": f"{bound}M"}
        self.line = helpers.command_line(runtime, name, command, notes, options, edit)
        self.process = None

    def __enter__(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.line, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)
        return self

    def __exit__(self, *exc):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(1 if self.lingers else 20)
        except subprocess.TimeoutExpired:
            self.remove()
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()

    def remove(self):
        """Have the engine remove the container."""
        engine = self.runtime.partition("-")[0]
        if engine in ("podman", "docker"):
            run(engine, "rm", "-f", self.name)
        else:
            run(self.runtime, "delete", "-f", self.name)

    def until(self, last):
        """The container's output lines, up to the line *last*."""
        lines = []
        for line in self.process.stdout:
            if line.strip() == last:
                return lines
            lines.append(line.strip())
        raise AssertionError(f"{self.name} ended: {lines} {self.process.stderr.read()}")


def programs(word):
    """The host's pids of all processes of ``kinds`` whose command line has *word*."""
    return [
        pid
        for pid, words in command_lines()
        if word.encode() in words and words[0].endswith((b"kinds", b"exe"))
    ]


def running(program):
    """The pids of processes that run *program*."""
    return [pid for pid, words in command_lines() if words[0].endswith(b"/" + program.encode())]


def python(word):
    """The pids of Python processes that run *word*."""
    return [
        pid
        for pid, words in command_lines()
        if words[0].endswith(b"python3") and any(one.endswith(word.encode()) for one in words)
    ]


def inside(pids, cgroup):
    """Whether each of *pids* is in *cgroup* or below it."""
    places = [cgroup_of(pid) for pid in pids]
    return all(place == cgroup or cgroup in place.parents for place in places)


def outside_of(name):
    """What `bede ps` reports of processes that were outside of the cgroup of the container *name*."""
    for one in helpers.listed().values():
        if one["id"].startswith(name) or name in one["cgroup"]:
            return one["outside"]
    return None


def settle():
    """Give the sampler time to see the present usage."""
    time.sleep(0.1)
