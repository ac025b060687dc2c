# SPDX-License-Identifier: Apache-2.0
"""The model's C without QEMU: what the plugin calls is called from here."""

import re
import subprocess
from pathlib import Path
from typing import Any

import cffi
import pytest

from vmlab.model import plugin

SOURCES = plugin.HERE / "plugin"
PARTS = ("cache", "timing", "pages")


def declarations(header: Path) -> str:
    """What cffi understands of a header: no preprocessor but constants, no function bodies."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
    text = re.sub(r"static inline [^{]*\{[^}]*\}", "", text)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    constants = re.findall(r"^#define (\w+) (\d+)\s*$", text, flags=re.MULTILINE)
    return "\n".join([*(f"#define {name} {value}" for name, value in constants), *lines])


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """(ffi, library), with every finding of UBSan fatal."""
    target = tmp_path_factory.mktemp("model") / "parts.so"
    flags = [flag for flag in plugin.PLUGIN if not flag.startswith("-fvisibility")]
    flags += ["-g", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    files = [SOURCES / f"{part}.c" for part in PARTS]
    subprocess.run(["gcc", *flags, "-o", target, *files], check=True)
    ffi = cffi.FFI()
    ffi.cdef("typedef struct FILE FILE; FILE *fopen(const char *, const char *); int fclose(FILE *);")
    for part in PARTS:
        ffi.cdef(declarations(SOURCES / f"{part}.h"))
    return ffi, ffi.dlopen(str(target))
