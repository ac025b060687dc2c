# SPDX-License-Identifier: Apache-2.0
"""Run the commands of the documentation's pages as a person who follows them would: pages.py PAGES.json.

At first the machine has no Bede; the Debian package is in dist/. The shell is a login shell, as in
`bede vm shell`: an image with this machine's Redis takes the place of the one in a registry.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HEAD = "set -Eeu -o pipefail; trap 'echo \"** failed: $BASH_COMMAND\" >&2' ERR\n"
SECONDS = 600


def follow(page, text):
    """Run one page's commands in one shell, in an example's directory for an example. Returns the status."""
    print(f"== {page}", flush=True)
    where = Path("/root") / (Path(page).parent if page.startswith("examples/") else "")
    environment = dict(os.environ, HOME="/root", TERM="dumb", DEBIAN_FRONTEND="noninteractive")
    try:
        return subprocess.run(
            ["bash", "-lc", HEAD + text],
            cwd=where,
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return "not done in time"


def main():
    Path("/usr/sbin/policy-rc.d").unlink(missing_ok=True)  # left from making the image; a host has none
    for directory in ("dist", "examples"):
        shutil.copytree(f"/share/{directory}", f"/root/{directory}")
    for page, text in json.loads(Path(sys.argv[1]).read_text()):
        status = follow(page, text)
        print(f"== status {status}", flush=True)
        if status != 0:
            sys.exit(1)
    for recording in Path("/root").glob("study-*.csv"):
        shutil.copy(recording, "/out")


if __name__ == "__main__":
    main()
