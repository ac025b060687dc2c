# SPDX-License-Identifier: Apache-2.0
"""promotion.py MIB LOAD...: a load under a bound, whose pages the agent promotes.

Prints one line of JSON: what `bede ps` said of it last, and the highest local usage that an independent
sampler saw. tests/vm/test_model.py runs this.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

PATTERNS = "/usr/lib/bede/tests/vm/guest/workloads/patterns"
CONFIG = Path("/etc/bede/config.yaml")
SAMPLES = Path("/tmp/samples.csv")


def status() -> dict[str, object]:
    """What the agent says of the load; empty before its start and after its end."""
    done = subprocess.run(["bede", "ps", "--json"], capture_output=True, text=True, check=True)
    return next((one for one in json.loads(done.stdout) if one["id"] == "load"), {})


def main(bound: str, *load: str) -> None:
    """Run the load; print what became of it."""
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text("promotion: bede\n")
    subprocess.run(["systemctl", "restart", "bede-agent"], check=True)
    options = ("--local", f"{bound}M", "--name", "load")
    running = subprocess.Popen(["bede", "run", *options, "--", PATTERNS, *load])
    while not (last := status()).get("cgroup") and running.poll() is None:
        time.sleep(0.1)
    cgroup = f"/sys/fs/cgroup{last['cgroup']}"
    sampler = subprocess.Popen([sys.executable, "-m", "vmlab.demo.sampler", cgroup, SAMPLES])
    while running.poll() is None:
        last = status() or last
        time.sleep(1)
    sampler.terminate()
    sampler.wait()
    names, *lines = SAMPLES.read_text().splitlines()
    at = names.split(",").index("local")
    highest = max(int(float(line.split(",")[at])) for line in lines)
    print(json.dumps({"status": last, "highest": highest, "samples": len(lines)}))
    sys.exit(running.returncode)


main(*sys.argv[1:])
