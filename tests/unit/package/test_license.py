# SPDX-License-Identifier: Apache-2.0
"""Every file names its license."""

import re

import packages

ROOT = packages.ROOT
LINE = "SPDX-License-Identifier: Apache-2.0"
#: files of the package, which debian/copyright covers; the fuzzers' corpus; patches of the kernel
OTHERS = ("debian/", "tests/fuzz/corpus/", "kernel-patch/")


def test_every_source_file_begins_with_its_license() -> None:
    missing, seen = [], 0
    for name in packages.tracked():
        data = (ROOT / name).read_bytes()
        source = name.endswith((".py", ".pyi", ".c", ".h", ".sh")) or data.startswith(b"#!")
        if not source or name.startswith(OTHERS):
            continue
        seen += 1
        line = f"/* {LINE} */" if name.endswith((".c", ".h")) else f"# {LINE}"
        first, second, *_ = [*data.decode().split("\n", 2), ""]
        if (second if first.startswith("#!") else first) != line:
            missing.append(name)
    assert seen > 300
    assert missing == []


def test_what_the_patches_add_to_the_kernel_is_under_its_license() -> None:
    patches = list(ROOT.glob("kernel-patch/*/*.patch"))
    assert patches
    for patch in patches:
        for added in re.findall(r"SPDX-License-Identifier: (.*?)(?: \*/)?\n", patch.read_text()):
            assert added == "GPL-2.0", patch
