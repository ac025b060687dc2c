# SPDX-License-Identifier: Apache-2.0
"""The QEMU that runs machines: Debian 13's.

Not the host's own: Debian 12 has QEMU 7.2, whose multi-threaded emulation can lose the race between a
CPU that patches code and one that translates it, so that a guest kernel dies at random of an int3 it
wrote itself (docs/machine.md). One QEMU for every host also means one behaviour for every host.
"""

from pathlib import Path

from vmlab import debian
from vmlab.progress import Progress

PACKAGES = ("qemu-system-x86", "seabios", "ipxe-qemu")


def ensure(progress: Progress) -> Path:
    """The directory that QEMU is unpacked in, made if it is missing."""
    return debian.ensure("emulator", PACKAGES, progress)


def program(where: Path) -> list[str]:
    """The beginning of a command line that runs the QEMU in *where*."""
    return [
        *("env", f"QEMU_MODULE_DIR={where / debian.LIBRARIES}/qemu"),
        *debian.program(where, "usr/bin/qemu-system-x86_64"),
        *("-L", str(where / "usr/share/qemu"), "-L", str(where / "usr/share/seabios")),
    ]
