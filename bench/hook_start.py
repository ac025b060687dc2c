#!/usr/bin/env python3
"""What the hook and the wrapper cost a container's start, against a bare interpreter.

Usage: bench/hook_start.py [ROUNDS]

Every round starts each program once, in turn, so that a busy machine slows all of them alike; printed are
the medians and their ratio to ``python3 -IS -c pass``, which has to stay below 2.
The createRuntime path goes as far as this host lets it; on one with cgroup v1 it ends at that message.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(__file__).resolve().parent.parent / "bin"
PYTHON = "/usr/bin/python3"
LIMIT = 2.0


def main() -> int:
    """Print the table; the exit status is 1 when a ratio is not below 2."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 101
    with tempfile.TemporaryDirectory() as directory:
        cases = _cases(Path(directory))
        times: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(rounds + 3):
            for name, (command, stdin) in cases.items():
                begin = time.perf_counter()
                subprocess.run(command, input=stdin, capture_output=True, cwd="/", check=False)
                # The first rounds write the bytecode caches and fill the page cache.
                if number >= 3:
                    times[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(values) for name, values in times.items()}
    bare = medians["python3 -IS -c pass"]
    print(f"{rounds} rounds of each, in turn")
    print(f"{'program':40} {'median ms':>10} {'ratio':>7}")
    for name, median in medians.items():
        print(f"{name:40} {median * 1e3:10.2f} {median / bare:7.2f}")
    return 0 if all(median < LIMIT * bare for median in medians.values()) else 1


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
    # A real runtime that costs nothing, so that what is left is the wrapper's own.
    settings = directory / "config.yaml"
    settings.write_text("runtime: /bin/true\n")
    settings.chmod(0o644)
    os.environ["BEDE_CONFIG"] = str(settings)
    hook, wrapper = str(BIN / "bede-hook"), str(BIN / "bede-runtime")
    python = [PYTHON, "-IS"]
    as_json, plain_json = json.dumps(state).encode(), json.dumps(plain).encode()
    return {
        "python3 -IS -c pass": ([*python, "-c", "pass"], b""),
        "bede-hook createRuntime": ([*python, hook, "createRuntime"], as_json),
        "bede-hook createRuntime, no annotation": ([*python, hook, "createRuntime"], plain_json),
        "bede-hook poststart": ([*python, hook, "poststart"], as_json),
        "bede-hook poststop": ([*python, hook, "poststop"], as_json),
        "bede-runtime create": ([*python, wrapper, "create", "-b", str(bundles["annotated"]), "x"], b""),
        "bede-runtime create, no annotation": (
            [*python, wrapper, "create", "-b", str(bundles["plain"]), "x"],
            b"",
        ),
        "bede-runtime state": ([*python, wrapper, "state", "x"], b""),
    }


if __name__ == "__main__":
    sys.exit(main())
