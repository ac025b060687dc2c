#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The part of bench/placement.py that runs in the machine: LOAD BOUND ROUNDS WAY..., the bound in MiB."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import ways
from loads import LOADS, SIZE

CONFIG = Path("/etc/bede/config.yaml")
DROP = Path("/proc/sys/vm/drop_caches")
CLIENT = ways.CGROUPS / "client"  #: whose time is not the load's


def main(load: str, bound: int, rounds: int, names: list[str]) -> None:
    """Run *load* in each of these ways, in a cgroup of its own, with the independent sampler beside it."""
    ways.DEMOTION.write_text("true")  # whoever reclaims local memory demotes
    for name in names:
        way = ways.WAYS[name]
        if not way.is_here:
            continue
        DROP.write_text("1")  # page cache that one load has read is charged to it, and stays where it is
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(f"promotion: {way.promotion}\n")
        subprocess.run(["systemctl", "restart", "bede-agent"], check=True)
        print(f"{load}, {name}", file=sys.stderr)
        parent = ways.CGROUPS / f"way-{name.replace(', ', '-').replace(' ', '-')}"
        parent.mkdir()
        if name == "far":  # the one whose misses are logged
            subprocess.run(["bede-mark", "--follow", parent], check=True)
        with way.host(ways.Place(parent, SIZE, bound)):
            subprocess.run(["bede-mark", f"begin {name}"], check=True)
            kind = LOADS[load]
            command = way.command(bound, kind.words(load, rounds))
            if not _run(command, kind.asking(rounds), parent, name, way.within, kind.patience):
                print(f"{name} does not end within {kind.patience} s, and is left out", file=sys.stderr)
            subprocess.run(["bede-mark", f"end {name}"], check=True)


def _start(command: list[str], cgroup: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, preexec_fn=lambda: (cgroup / "cgroup.procs").write_text(str(os.getpid()))
    )


def _run(command: list[str], client: list[str], parent: Path, name: str, within: bool, patience: int) -> bool:
    """Run the load, and its client if it has one. False if it was killed, since it took too long."""
    process = _start(command, parent)
    cgroup = _moved(process, parent) if within else parent
    samples = Path("/out") / f"{name}.csv"
    beside = [subprocess.Popen([sys.executable, "-m", "vmlab.demo.sampler", cgroup, samples])]
    if within:
        with (Path("/out") / f"{name}-stats.csv").open("wb") as stats:
            told = ["bede", "stats", "--csv", "--follow", "--interval", "3"]
            beside.append(subprocess.Popen(told, stdout=stats))
    asking = None
    if client:
        CLIENT.mkdir(exist_ok=True)
        asking = _start(client, CLIENT)
    ended = True
    try:
        status = process.wait(patience)
    except subprocess.TimeoutExpired:
        ended = False
        (cgroup / "cgroup.kill").write_text("1")
        process.kill()
        status = process.wait()
    for each in beside:
        each.terminate()
        each.wait()
    if asking is not None:
        status = asking.wait() or status
    if ended and status:
        raise SystemExit(f"{command} failed with status {status}")
    return ended


def _moved(process: subprocess.Popen[bytes], parent: Path) -> Path:
    """The cgroup that the process, as `bede run`, puts its child into."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                path = Path(f"/proc/{child}/cgroup").read_text().strip().removeprefix("0::")
                if path != f"/{parent.name}":
                    return Path("/sys/fs/cgroup" + path)
        time.sleep(0.001)
    raise SystemExit(f"{process.args!r} ended at once")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
