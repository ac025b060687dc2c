# SPDX-License-Identifier: Apache-2.0
"""Starts containers of every runtime, and asks the kernel (not Bede) about them."""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from vmlab.demo.sampler import Sampler

MIB = 1 << 20
WORKLOADS = Path(__file__).resolve().parents[1] / "workloads"
EXAMPLES = WORKLOADS.parents[3] / "examples"
IMAGE = "localhost/bede-base:latest"
STEADY = f"{WORKLOADS}/steady"
RECORDS = Path("/run/bede/containers")
CONFIG = Path("/etc/bede/config.yaml")
CGROUPS = Path("/sys/fs/cgroup")
BALANCING = Path("/proc/sys/kernel/numa_balancing")
WORK = Path("/tmp/bede-tests")
PODMAN = ("podman-crun", "podman-runc")
PLAIN = ("runc", "crun")
RUNTIMES = (*PODMAN, "docker", "ctr", *PLAIN)
#: a container's first command, which prints its memory.high; ctr's containers have no cgroup namespace
FIRST = "read -r line < /proc/self/cgroup; cat /sys/fs/cgroup${line#0::}/memory.high"
#: whether this kernel holds bounds by itself
IS_PATCHED = any(CGROUPS.glob("*/memory.node_limit"))
DEADLINE = 120.0  #: seconds, for what takes one or two on a machine that is not emulated


def wait_until(what, condition, seconds=DEADLINE):
    """Wait for the first true value of *condition* and return it; else fail and say *what* did not happen."""
    end = time.monotonic() + seconds
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        # Ask less and less often: with one CPU, asking delays what is waited for.
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def run(*command, **options):
    """Run a command to its end. Returns its status, stdout and stderr as text."""
    options = {"capture_output": True, "text": True, "timeout": 120, "stdin": subprocess.DEVNULL} | options
    return subprocess.run(command, check=False, **options)


@contextlib.contextmanager
def configured(text):
    """Make *text* the host's configuration while the block runs."""
    before = CONFIG.read_text() if CONFIG.exists() else None
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text(text)
    CONFIG.chmod(0o644)
    try:
        yield
    finally:
        if before is None:
            CONFIG.unlink()
        else:
            CONFIG.write_text(before)


def promotion_by(who):
    """Have *who* promote the pages of containers that start while the block runs; the other settings stay."""
    return configured((CONFIG.read_text() if CONFIG.exists() else "") + f"promotion: {who}\n")


@functools.cache
def have_image(engine):
    """Load the image into one engine's store."""
    subprocess.run(["bede-image", engine], check=True)


def bundle(name, command, size, edit=None):
    """Make a bundle with the example's script, with this machine's /usr; *edit* changes its config."""
    where = WORK / name
    made = run(EXAMPLES / "runc" / "make-bundle", where, size or "64M", *command)
    assert made.returncode == 0, made.stderr
    config = json.loads((where / "config.json").read_text())
    for source, target in (("/usr", "/usr"), (str(WORK), "/gate")):
        (where / "rootfs" / target[1:]).mkdir(exist_ok=True)
        mount = {"destination": target, "source": source, "type": "bind", "options": ["rbind", "rw"]}
        config["mounts"].append(mount)
    for lib in ("lib", "lib64"):
        link = where / "rootfs" / lib
        if not link.is_symlink():
            link.symlink_to(f"usr/{lib}")
    (where / "rootfs/sys/fs/cgroup").mkdir(parents=True, exist_ok=True)
    config["mounts"].append({"destination": "/sys/fs/cgroup", "source": "cgroup", "type": "cgroup"})
    if size is None:
        del config["annotations"], config["hooks"]
    if edit:
        edit(config)
    (where / "config.json").write_text(json.dumps(config))
    return where


def command_line(runtime, name, command, annotations, options=(), edit=None):
    """The words that start a container in the foreground."""
    notes = [word for key, value in annotations.items() for word in ("--annotation", f"{key}={value}")]
    if runtime in PODMAN:
        have_image("podman")
        engine = ["podman", "--runtime", runtime.removeprefix("podman-")]
        extra = [option for option in options if option.startswith("--cgroup-manager")]
        rest = [option for option in options if option not in extra]
        volumes = ["-v", "/usr:/usr:ro", "-v", f"{WORK}:/gate"]
        return [*engine, *extra, "run", "--rm", "--name", name, *volumes, *notes, *rest, IMAGE, *command]
    if runtime == "docker":
        have_image("docker")
        volumes = ["-v", "/usr:/usr:ro", "-v", f"{WORK}:/gate", "--network", "none", "--runtime", "bede"]
        return ["docker", "run", "--rm", "--name", name, *volumes, *notes, *options, IMAGE, *command]
    if runtime == "ctr":
        have_image("ctr")
        mounts = [
            "type=bind,src=/usr,dst=/usr,options=rbind:ro",
            f"type=bind,src={WORK},dst=/gate,options=rbind:rw",
            "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro",
        ]
        words = [word for mount in mounts for word in ("--mount", mount)]
        wrapper = ["--runc-binary", "/usr/bin/bede-runtime"]
        return ["ctr", "run", "--rm", *wrapper, *words, *notes, *options, IMAGE, name, *command]

    def edited(config):
        if annotations:
            config["annotations"] = annotations
        if edit:
            edit(config)

    where = bundle(name, command, annotations.get("bede.local", "64M") if annotations else None, edited)
    return [runtime, *options, "run", "--bundle", str(where), name]


class Container:
    """One container in the foreground of a process; a context manager that leaves nothing behind."""

    def __init__(self, runtime, name, size, megabytes, annotations=None, options=(), edit=None, before=()):
        self.runtime, self.name = runtime, name
        self.gate = WORK / f"{name}.gate"
        shutil.rmtree(self.gate, ignore_errors=True)
        self.gate.mkdir(parents=True)
        steady = f"exec {STEADY} /gate/{self.gate.name} {megabytes}"
        command = ["sh", "-c", f"{FIRST}; {steady}"]
        notes = ({"bede.local": size} if size else {}) | (annotations or {})
        self.line = [*before, *command_line(runtime, name, command, notes, options, edit)]
        if "-d" in options:
            self.line.remove("--rm")  # no engine allows it with a restart policy or for a checkpoint
        self.process = subprocess.Popen(
            self.line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = 0
        self.cgroup = CGROUPS

    def __enter__(self):
        try:
            self.pid = wait_until(f"{self.name} runs", self._find)
        except BaseException:
            self.__exit__()
            raise
        self.cgroup = cgroup_of(self.pid)
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            if self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, 9)
            else:
                self.process.kill()
            self.process.communicate(timeout=DEADLINE)

    def _ended(self):
        return self.process.poll() is not None

    def _find(self):
        if self._ended():
            raise AssertionError(f"{self.name} did not start: {self.process.communicate()}")
        mark = f"/gate/{self.gate.name}".encode()
        for pid, words in command_lines():
            if words[:1] == [STEADY.encode()] and mark in words:
                return pid
        return 0

    def fill(self):
        """Wait until the container has written all its memory once. Returns self."""
        wait_until(f"{self.name} fills its memory", self._full)
        return self

    def _full(self):
        if self._ended():
            raise AssertionError(f"{self.name} ended: {self.process.communicate()}")
        return (self.gate / "full").exists()

    def progress(self):
        """How often the container has gone over its memory so far."""
        try:
            return int((self.gate / "progress").read_text())
        except OSError:
            return 0

    def go_on(self, rounds=1):
        """Wait until the container has gone over its memory *rounds* more times."""
        before = self.progress()
        wait_until(f"{self.name} makes progress", lambda: self.progress() >= before + rounds)

    def sample(self):
        """(local, far) in bytes, as the kernel says."""
        return sample(self.cgroup)

    def read(self, file):
        """The text of one of the cgroup's files."""
        return (self.cgroup / file).read_text().strip()

    def stop(self):
        """Let the container end by itself. Returns (status, stdout, stderr)."""
        (self.gate / "stop").touch()
        out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out, err


def sample(cgroup):
    """(local, far) in bytes of the cgroup with this directory, as the kernel says."""
    with contextlib.closing(Sampler(str(cgroup))) as sampler:
        return sampler.sample()[:2]


def cgroup_of(pid):
    """The directory of a process's cgroup."""
    line = Path(f"/proc/{pid}/cgroup").read_text().strip()
    return CGROUPS / line.rpartition("::/")[2]


def cgroups():
    """All cgroups but those of systemd's units and the parents that engines keep for their containers."""
    units = (".service", ".slice", ".socket", ".mount", "/default", "/libpod_parent")
    return {str(path) for path in CGROUPS.rglob("*/") if not str(path).endswith(units)}


def command_lines():
    """(pid, words of the command line) of each process, in the order of pids."""
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def processes(word):
    """The pids of `bede WORD`."""
    return [
        pid
        for pid, words in command_lines()
        if any(one.endswith(b"/bede") for one in words) and word.encode() in words
    ]


def slack(bound):
    """The overshoot that is allowed: one per cent of the bound, or 1 MiB if that is more."""
    return max(bound // 100, MIB)


def numa_maps(pid):
    """{node: bytes} of a process's anonymous memory, by its page tables."""
    found = {}
    for line in Path(f"/proc/{pid}/numa_maps").read_text().splitlines():
        words = line.split()
        if any(word.startswith("anon=") for word in words) and not any("file=" in word for word in words):
            for word in words:
                if word[0] == "N" and "=" in word:
                    node, _, pages = word[1:].partition("=")
                    found[int(node)] = found.get(int(node), 0) + int(pages) * 4096
    return found


def all_placed(pid, size):
    """Wait until none of *size* bytes is on its way between nodes. Returns numa_maps() of that moment."""

    def whole():
        by_node = numa_maps(pid)
        return by_node if sum(by_node.values()) >= size else None

    return wait_until(f"all of {size >> 20} MiB is on some node", whole)


def records():
    """The records that are on disk now."""
    found = []
    for path in sorted(RECORDS.glob("*.json")):
        with contextlib.suppress(FileNotFoundError):  # the container has just ended
            found.append(json.loads(path.read_text()))
    return found


def nothing_left(cgroup=None):
    """Wait until no record, and no *cgroup* of a container that has ended, is left."""
    wait_until("the record is removed", lambda: not list(RECORDS.glob("*")), 20)
    if cgroup is not None:
        wait_until(f"{cgroup} is removed", lambda: not cgroup.exists(), 20)


def listed():
    """What `bede ps --json` prints, by container id, without starting a program for it."""
    from ocihook.watch import containers  # in tests of the package only the package has this module

    return {one.id: one.as_json() for one in containers.listing()}


def held_by_agent():
    """The ids of the containers that an agent holds now; None if no agent answers."""
    from ocihook.errors import BedeError

    try:
        return set(listed())
    except BedeError:
        return None


def shown(unit, name):
    """What systemd says of *unit*: the property called *name* (systemctl(1))."""
    return run("systemctl", "show", "-P", name, unit).stdout.strip()


def pid_of(unit):
    """The main process of *unit*; 0 if none runs."""
    return int(shown(unit, "MainPID") or 0)


def agent_pid():
    """The agent's pid, as systemd knows it; 0 if no agent runs."""
    return pid_of("bede-agent.service")


def substate(unit):
    """What systemd says of *unit*, such as running, dead or auto-restart."""
    return shown(unit, "SubState")
