# SPDX-License-Identifier: Apache-2.0
"""The QEMU that runs machines: Debian 13's, not the host's own.

Debian 12 has QEMU 7.2. In its multi-threaded emulation a CPU that patches code can race with a CPU that
translates it, so that a guest kernel dies at random of an int3 that it wrote itself (docs/machine.md). With
one QEMU, machines also behave alike on every host.
"""

from pathlib import Path

from vmlab import debian
from vmlab.progress import Progress

PACKAGES = ("qemu-system-x86", "seabios", "ipxe-qemu")


def ensure(progress: Progress) -> Path:
    """The directory with the unpacked QEMU, made if it is missing."""
    return debian.ensure("emulator", PACKAGES, progress)


def program(where: Path) -> list[str]:
    """The beginning of a command line that runs the QEMU in *where*."""
    return [
        *("env", f"QEMU_MODULE_DIR={where / debian.LIBRARIES}/qemu"),
        *debian.program(where, "usr/bin/qemu-system-x86_64"),
        *("-L", str(where / "usr/share/qemu"), "-L", str(where / "usr/share/seabios")),
    ]
