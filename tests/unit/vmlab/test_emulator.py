# SPDX-License-Identifier: Apache-2.0
"""The emulator's place in the cache and the start of its command line."""

from pathlib import Path

from vmlab import debian, emulator


def test_it_starts_with_its_own_loader_libraries_and_modules() -> None:
    words = emulator.program(Path("/c"))
    assert words[0] == "env"
    loader = words.index("/c/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    assert words[loader + 1 : loader + 4] == [
        "--library-path",
        "/c/usr/lib/x86_64-linux-gnu",
        "/c/usr/bin/qemu-system-x86_64",
    ]
    assert "QEMU_MODULE_DIR=/c/usr/lib/x86_64-linux-gnu/qemu" in words[:loader]


def test_no_mirror_is_named() -> None:
    words = debian.command(emulator.PACKAGES, "root", "/c/out.tar")
    assert not [word for word in words if "://" in word]
    assert words[-2:] == ["trixie", "/c/out.tar"]
