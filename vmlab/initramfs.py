# SPDX-License-Identifier: Apache-2.0
"""A tiny initramfs: busybox, the modules for the root disk, and the `init` of `vmlab/guest`."""

import stat
from dataclasses import dataclass
from pathlib import Path

from vmlab.image import GUEST
from vmlab.kernels import Kernel

DIRECTORIES = ("bin", "dev", "modules", "proc", "root", "sys")


@dataclass(frozen=True)
class Entry:
    """One member of a cpio archive; *device* is (major, minor) of a character device."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def cpio(entries: list[Entry]) -> bytes:
    """The archive in the format that the kernel unpacks ("newc")."""
    out = bytearray()
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], start=1):
        name = entry.name.encode() + b"\0"
        fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name
        out += b"\0" * (-len(out) % 4) + entry.data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def build(busybox: Path, kernel: Kernel, *, mapped: bool = False) -> bytes:
    """The initramfs for one kernel; *mapped*: whose disks are in its physical addresses."""
    entries = [Entry(name, stat.S_IFDIR | 0o755) for name in DIRECTORIES]
    entries.append(Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    entries.append(Entry("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
    entries.append(Entry("init", stat.S_IFREG | 0o755, (GUEST / "init").read_bytes()))
    for module in (kernel.mapped or ()) if mapped else kernel.modules:
        entries.append(Entry(f"modules/{module.name}", stat.S_IFREG | 0o644, module.read_bytes()))
    return cpio(entries)
