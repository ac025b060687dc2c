"""Run the commands of the documentation's pages as a person would who follows them: pages.py PAGES.json.

The machine has no Bede to begin with; the Debian package lies in dist/. An image of the name that the pages
use, with this machine's Redis, stands in for the one that a registry would have.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BASE = Path("/usr/share/bede-vm/rootfs")
IMAGE = "docker.io/library/redis:latest"
HEAD = "set -Eeu -o pipefail; trap 'echo \"** failed: $BASH_COMMAND\" >&2' ERR\n"
SECONDS = 300


def redis_image():
    """A root of busybox and Redis, in the stores of Podman, Docker and containerd."""
    with tempfile.TemporaryDirectory() as work:
        root = Path(work) / "root"
        shutil.copytree(BASE, root, symlinks=True)
        for name in ("redis-server", "redis-cli", "redis-benchmark"):
            program = Path(f"/usr/bin/{name}").resolve()
            (root / "usr/bin" / name).unlink(missing_ok=True)
            shutil.copy(program, root / "usr/bin" / name)
            listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
            for word in listed.split():
                if word.startswith("/"):
                    target = root / "usr" / word.removeprefix("/usr").lstrip("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(word, target)
        tar, saved = Path(work) / "root.tar", Path(work) / "image.tar"
        run("tar", "-C", root, "-cf", tar, ".")
        run("podman", "import", "--change", 'CMD ["redis-server","--save",""]', tar, IMAGE)
        run("podman", "save", "--format", "docker-archive", "-o", saved, IMAGE)
        run("systemctl", "start", "docker", "containerd")
        run("docker", "load", "-i", saved)
        run("ctr", "images", "import", saved)
        run("systemctl", "stop", "docker", "docker.socket")


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")


def follow(page, text):
    """Run one page's commands in one shell, an example's beside its files; its status."""
    print(f"== {page}", flush=True)
    where = Path("/root") / (Path(page).parent if page.startswith("examples/") else "")
    environment = dict(os.environ, HOME="/root", TERM="dumb", DEBIAN_FRONTEND="noninteractive")
    try:
        return subprocess.run(
            ["bash", "-c", HEAD + text],
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
    Path("/usr/sbin/policy-rc.d").unlink(missing_ok=True)  # of the image's making; a host has none
    own = Path("/etc/containers/containers.conf.d/zz-pages.conf")
    own.write_text('[containers]\nnetns = "none"\n')  # each has a loopback of its own, as on any host
    redis_image()
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
