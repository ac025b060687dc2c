# SPDX-License-Identifier: Apache-2.0
"""Builds and runs the C targets: clang's libFuzzer with the sanitizers, of which every finding is fatal."""

import subprocess
from pathlib import Path

from seeds import HERE, LONG

NATIVE = HERE.parents[1] / "native"
TARGETS = HERE / "targets"
SHARED = "file"  #: not a target, but code that all targets share
#: native code that the targets use; the rest of it needs a kernel
SOURCES = ("kfile", "lru", "control", "swapguard", "procevents", "vmas", "ranges", "order", "shared", "cpus")
SOURCES += ("trace", "perf", "forecast", "scores")
#: target → functions of the C library that it replaces
WRAPPED = {"demote": ("write",), "swapguard": ("openat", "pwrite")}
LONGEST = 700  #: most bytes of one input

# Unsigned overflow is defined in C, but a fence that overflows is a mistake.
_SANITIZERS = "address,undefined,float-cast-overflow,unsigned-integer-overflow"
_FLAGS = ("-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}", f"-I{TARGETS}")


def names() -> list[str]:
    """The targets."""
    return [path.stem for path in sorted(TARGETS.glob("*.c")) if path.stem != SHARED]


def build(target: str, into: Path) -> Path:
    """Build the program that fuzzes *target*."""
    program = into / target
    sources = [TARGETS / f"{target}.c", TARGETS / f"{SHARED}.c", *(NATIVE / f"{name}.c" for name in SOURCES)]
    wrapped = [f"-Wl,--wrap={name}" for name in WRAPPED.get(target, ())]
    sanitizers = [f"-fsanitize=fuzzer,{_SANITIZERS}", "-fno-sanitize-recover=all"]
    subprocess.run(["clang", *_FLAGS, *sanitizers, *wrapped, "-o", program, *sources, "-lm"], check=True)
    return program


def run(program: Path, *arguments: str | Path) -> None:
    """Run it. A finding fails the test, which shows the input in hexadecimal."""
    found = program.parent / "found"
    found.mkdir(exist_ok=True)
    seed = 0 if LONG else 1  # 0: a new seed each time
    command = [program, f"-artifact_prefix={found}/", f"-max_len={LONGEST}", f"-seed={seed}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    inputs = "\n".join(f"{path.name}: {path.read_bytes().hex()}" for path in found.iterdir())
    assert done.returncode == 0, f"{inputs}\n{done.stderr[-4000:]}"
