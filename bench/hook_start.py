#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures how long the hook and the wrapper delay a container's start, relative to a bare interpreter.

Usage: bench/hook_start.py [ROUNDS]

Every round starts each program once, in turn, so that a busy machine slows all of them alike. It prints the
medians, and the median ratio to ``python3 -IS -c pass`` of the same round, which has to stay below 2.
The createRuntime path goes as far as this host allows: with cgroup v1 it ends with an error about that. The
"whole" rows run it to its end, on plain files in place of /proc and the cgroup, with a mock of the agent's
socket and without the backend.
"""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

BIN = Path(__file__).resolve().parent.parent / "bin"
PYTHON = "/usr/bin/python3"
LIMIT = 2.0

# The steps of bin/bede-hook, with every path of a kernel file redirected to a directory.
WHOLE = """
import os, sys
root, package, stage = sys.argv[1:]
sys.path.append(package)
from ocihook import hook, host
from ocihook.backends import tier
from ocihook.backends import fence
from ocihook.state import records
from ocihook.topology import nodes
host.ROOT, records.RUN = root, root + "/run"
tier.check = lambda *given: nodes.Tiers((0,), (1,))
fence.engage = fence.release = lambda *given: None
os._exit(hook.main(["/usr/bin/bede-hook", stage]))
"""


def main() -> int:
    """Print the table. Returns the exit status: 1 if a ratio is not below 2."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 101
    # In memory, as /run is: a disk's fsync does not count as the hook's time.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as directory, _agent(directory):
        cases = _cases(Path(directory))
        times: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(rounds + 3):
            for name, (command, stdin) in cases.items():
                begin = time.perf_counter()
                subprocess.run(command, input=stdin, capture_output=True, cwd="/", check=False)
                # The first rounds write the bytecode caches and fill the page cache.
                if number >= 3:
                    times[name].append(time.perf_counter() - begin)
    bare = times["python3 -IS -c pass"]
    print(f"{rounds} rounds of each, in turn; the ratio is the median of the rounds' own ratios")
    print(f"{'program':40} {'median ms':>10} {'ratio':>7}")
    worst = 0.0
    for name, values in times.items():
        ratio = statistics.median(value / base for value, base in zip(values, bare, strict=True))
        worst = max(worst, ratio)
        print(f"{name:40} {statistics.median(values) * 1e3:10.2f} {ratio:7.2f}")
    return 0 if worst < LIMIT else 1


@contextlib.contextmanager
def _agent(directory: str) -> Iterator[None]:
    """Receive the hook's messages, as the agent does."""
    (Path(directory) / "run").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(directory + "/run/agent.sock")
        listener.listen(64)
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        yield


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


def _pretend(root: Path) -> None:
    """Make the files of a host with cgroup v2, and of process 7 in a container's cgroup."""
    group = root / "cgroup/docker/web"
    for directory in (group, root / "proc/self", root / "proc/7/ns", root / "run/containers"):
        directory.mkdir(parents=True)
    (root / "run/containers").chmod(0o700)
    for name, text in (("memory.high", "max\n"), ("memory.max", "max\n")):
        (group / name).write_text(text)
    for name in ("pid", "cgroup", "mnt"):
        (root / "proc/7/ns" / name).touch()
    (root / "proc/7/cgroup").write_text("0::/docker/web\n")
    (root / "proc/7/stat").write_text(" ".join(["7 (sh) S", *["0"] * 18, "1000", "0\n"]))
    other = "".join(f"{n} 23 0:{n} / /var/lib/x/{n} rw,nosuid - overlay overlay rw\n" for n in range(40, 140))
    (root / "proc/self/mountinfo").write_text(f"{other}31 23 0:27 / {root}/cgroup rw - cgroup2 cgroup2 rw\n")


def _cases(directory: Path) -> dict[str, tuple[list[str], bytes]]:
    state = {
        "ociVersion": "1.2.0",
        "id": "f" * 64,
        "pid": os.getpid(),
        "bundle": "/run/bede-bench/no-such-bundle",
        "status": "creating",
        "annotations": {"bede.local": "2G", "org.opencontainers.image.title": "bench"},
    }
    plain = {**state, "annotations": {"org.opencontainers.image.title": "bench"}}
    bundles = {}
    for name, annotations in (("annotated", state["annotations"]), ("plain", plain["annotations"])):
        bundles[name] = directory / name
        bundles[name].mkdir()
        config = {"ociVersion": "1.2.0", "process": {"args": ["true"] * 200}, "annotations": annotations}
        (bundles[name] / "config.json").write_text(json.dumps(config))
    _pretend(directory)
    # A real runtime that takes no time, so that the rest is the wrapper's time.
    settings = directory / "config.yaml"
    settings.write_text("runtime: /bin/true\n")
    settings.chmod(0o644)
    os.environ["BEDE_CONFIG"] = str(settings)
    hook, wrapper = str(BIN / "bede-hook"), str(BIN / "bede-runtime")
    python = [PYTHON, "-IS"]
    as_json, plain_json = json.dumps(state).encode(), json.dumps(plain).encode()
    whole = [*python, "-c", WHOLE, str(directory), str(BIN.parent)]
    bound_json = json.dumps({**state, "pid": 7}).encode()
    return {
        "python3 -IS -c pass": ([*python, "-c", "pass"], b""),
        "bede-hook createRuntime": ([*python, hook, "createRuntime"], as_json),
        "bede-hook createRuntime, no annotation": ([*python, hook, "createRuntime"], plain_json),
        "bede-hook poststart": ([*python, hook, "poststart"], as_json),
        "bede-hook poststop": ([*python, hook, "poststop"], as_json),
        "createRuntime, whole (pretended host)": ([*whole, "createRuntime"], bound_json),
        "poststop, whole (pretended host)": ([*whole, "poststop"], bound_json),
        "bede-runtime create": ([*python, wrapper, "create", "-b", str(bundles["annotated"]), "x"], b""),
        "bede-runtime create, no annotation": (
            [*python, wrapper, "create", "-b", str(bundles["plain"]), "x"],
            b"",
        ),
        "bede-runtime state": ([*python, wrapper, "state", "x"], b""),
    }


if __name__ == "__main__":
    sys.exit(main())
