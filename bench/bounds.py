#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures how well bounds are held: every load of tests/vm/guest/lib/bounds.py on every kernel.

    bench/bounds.py [--kernel NAME]... [--topology NAME] [LOAD...]

Boots one machine for each kernel and prints the figures of an independent 10 ms sampler. In two-socket the
configuration calls the second node far, and without the patches Bede moves pages.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ("debian-6.12", "debian-7.3")
INSIDE = "/usr/lib/bede/tests/vm/guest/lib/bounds.py"
#: topology → the nodes that the configuration has to call far
TOPOLOGIES = {"two-tier": "", "two-socket": "1"}
FIRST = """\
import os, sys
from vmlab.demo import inside
inside.call_far(sys.argv[1])
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def main() -> int:
    """Run the machines one after the other: two at once would disturb each other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    parser.add_argument("--topology", default="two-tier", choices=TOPOLOGIES)
    parser.add_argument("load", nargs="*")
    args = parser.parse_args()
    far = TOPOLOGIES[args.topology]
    inside = ["python3", *(("-c", FIRST, far) if far else ()), INSIDE, *args.load]
    status = 0
    for kernel in args.kernel or KERNELS:
        command = [sys.executable, ROOT / "bin/bede", "vm", "run", "--kernel", kernel, "--timeout", "900"]
        command += ["--topology", args.topology, "--", *inside]
        status |= subprocess.run(command, check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
