# SPDX-License-Identifier: Apache-2.0
"""Builds Kubernetes from Debian's source package, in a root of the Debian that has it, in the cache."""

from pathlib import Path

from ocihook.errors import MachineError
from vmlab import bootstrap, cache, ext4, image
from vmlab.progress import Progress

SUITE = "bookworm"
SCRIPT = Path(__file__).with_name("build.sh")
PACKAGES = ("golang-1.19-go", "golang-github-modern-go-reflect2-dev", "openssl")
LOG_LINES = 20
DISK = "disk.img"


def command(mode: str, out: str) -> list[str]:
    """The mmdebstrap command that leaves ``bin/`` and ``sa.key`` in the directory *out*."""
    return [
        *bootstrap.command("apt", mode, "null"),
        "--dpkgopt=force-unsafe-io",
        "--include=" + ",".join(PACKAGES),
        f"--customize-hook=upload {SCRIPT} /bede-build",
        '--customize-hook=chroot "$1" bash /bede-build',
        f"--customize-hook=sync-out /bede-out {out}",
        SUITE,
    ]


def ensure(progress: Progress) -> Path:
    """The directory of :data:`DISK`, which has programs in ``bin/`` and a key; built if it is missing."""
    return cache.built(_wanted(), lambda out: _build(out, progress))


def is_built() -> bool:
    """Return whether :func:`ensure` has nothing to build."""
    return (cache.root() / _wanted()).is_dir()


def _wanted() -> str:
    recipe = "\n".join(command("MODE", "OUT")).replace(str(SCRIPT), "SCRIPT").encode()
    return f"cluster-{cache.digest([recipe, SCRIPT.read_bytes()])}"


def _build(out: Path, progress: Progress) -> None:
    image.need(image.TOOLS)
    progress.stage("building Debian's Kubernetes, once (about four minutes on two CPUs)")
    root = out.parent / "root"
    root.mkdir()
    status, lines = bootstrap.follow(command(bootstrap.mode(), str(root)), "kubernetes", progress)
    if status != 0 or not (root / "bin/kubelet").is_file():
        kept = cache.root() / "cluster.log"
        kept.write_text("\n".join(lines) + "\n")
        raise MachineError(
            "Kubernetes could not be built; the last lines: " + " | ".join(lines[-LOG_LINES:]),
            f"All of them are in {kept}",
        )
    ext4.write(root, out / DISK)
