#!/usr/bin/env python3
"""The figures behind the promises: every load of tests/vm/guest/bounds.py on every kernel.

    bench/bounds.py [--kernel NAME]... [LOAD...]

Boots one two-tier machine a kernel and prints what an independent 10 ms sampler saw there.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ("debian-6.12", "debian-7.3")
INSIDE = "/usr/lib/bede/tests/vm/guest/bounds.py"


def main() -> int:
    """Run them one after the other: two machines at once would disturb each other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", action="append", choices=KERNELS)
    parser.add_argument("load", nargs="*")
    args = parser.parse_args()
    status = 0
    for kernel in args.kernel or KERNELS:
        command = [sys.executable, ROOT / "bin/bede", "vm", "run", "--kernel", kernel, "--timeout", "900"]
        status |= subprocess.run([*command, "--", "python3", INSIDE, *args.load], check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
