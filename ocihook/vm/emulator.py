"""The QEMU that runs machines: Debian 13's, unpacked into the cache and started from there.

Not the host's own: Debian 12 has QEMU 7.2, whose multi-threaded emulation can lose the race between a
CPU that patches code and one that translates it, so that a guest kernel dies at random of an int3 it
wrote itself (docs/machine.md). One QEMU for every host also means one behaviour for every host.
"""

import shutil
import subprocess
from pathlib import Path

from ocihook.vm import bootstrap, cache
from ocihook.vm.progress import Progress

PACKAGES = ("qemu-system-x86", "seabios", "ipxe-qemu")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
#: of a QEMU system only these are used; the rest is other machines' firmware and documentation
UNUSED = ("./dev", "./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./var")


def command(mode: str, out: str) -> list[str]:
    """The mmdebstrap that writes the unpacked packages, and all they depend on, to the tar *out*."""
    return [
        *bootstrap.command("extract", mode, "tar"),
        '--aptopt=Apt::Install-Recommends "false"',
        "--include=" + ",".join(PACKAGES),
        bootstrap.SUITE,
        out,
    ]


def ensure(progress: Progress) -> Path:
    """The directory that QEMU is unpacked in, made if it is missing."""
    parts = "\n".join((*command("MODE", "OUT"), *UNUSED)).encode()
    return cache.built(f"emulator-{cache.digest([parts])}", lambda out: _unpack(out, progress))


def program(where: Path) -> list[str]:
    """The beginning of a command line that runs the QEMU in *where*."""
    libraries = where / LIBRARIES
    return [
        "env",
        f"QEMU_MODULE_DIR={libraries}/qemu",
        str(libraries / "ld-linux-x86-64.so.2"),
        "--library-path",
        str(libraries),
        str(where / "usr/bin/qemu-system-x86_64"),
        *("-L", str(where / "usr/share/qemu"), "-L", str(where / "usr/share/seabios")),
    ]


def _unpack(out: Path, progress: Progress) -> None:
    progress.stage("getting the emulator, once")
    archive = out.parent / "emulator.tar"
    bootstrap.run(command(bootstrap.mode(), str(archive)), "the emulator could not be unpacked")
    exclude = [f"--exclude={name}" for name in UNUSED]
    owner = ["--no-same-owner", "--no-same-permissions"]
    subprocess.run([shutil.which("tar") or "tar", "-xf", archive, "-C", out, *owner, *exclude], check=True)
    archive.unlink()
    progress.stage("the emulator is ready")
