# SPDX-License-Identifier: Apache-2.0
"""The initramfs: a cpio archive that the kernel unpacks."""

import stat
from pathlib import Path

from vmlab import initramfs
from vmlab.kernels import Kernel


def members(data: bytes) -> dict[str, tuple[int, bytes]]:
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        start = (at + 110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (mode, data[start : start + size])
        at = (start + size + 3) // 4 * 4


def test_what_the_kernel_finds_in_it(tmp_path: Path) -> None:
    busybox, module = tmp_path / "busybox", tmp_path / "1-virtio_blk.ko"
    busybox.write_bytes(b"ELF-busybox")
    module.write_bytes(b"ELF-module!")
    found = members(initramfs.build(busybox, Kernel("debian-6.12", tmp_path / "vmlinuz", (module,))))
    assert found["bin/busybox"] == (stat.S_IFREG | 0o755, b"ELF-busybox")
    assert found["modules/1-virtio_blk.ko"] == (stat.S_IFREG | 0o644, b"ELF-module!")
    assert found["init"][0] == stat.S_IFREG | 0o755
    assert found["init"][1].startswith(b"#!/bin/busybox sh")
    assert found["dev/console"][0] == stat.S_IFCHR | 0o600
    assert all(stat.S_ISDIR(found[name][0]) for name in initramfs.DIRECTORIES)


def test_a_kernel_with_everything_built_in_needs_no_modules(tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"x")
    found = members(initramfs.build(busybox, Kernel("bede-6.12", tmp_path / "bzImage", ())))
    assert not [name for name in found if name.startswith("modules/")]
