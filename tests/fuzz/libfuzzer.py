# SPDX-License-Identifier: Apache-2.0
"""Building the C targets: clang's libFuzzer with the sanitizers, every finding fatal."""

import subprocess
from pathlib import Path

from seeds import HERE, LONG

NATIVE = HERE.parents[1] / "native"
TARGETS = HERE / "targets"
SHARED = "file"  #: no target: what they share
#: What the targets need of the native code; the rest of it needs a kernel.
SOURCES = ("kfile", "lru", "control", "swapguard", "procevents", "vmas", "order", "cpus")
#: Functions that a target stands in for.
WRAPPED = {"demote": ("write",), "swapguard": ("openat", "pwrite")}
LONGEST = 700  #: bytes of one input

# Sums that wrap are no undefined behaviour, but a fence that does is a mistake all the same.
_SANITIZERS = "address,undefined,float-cast-overflow,unsigned-integer-overflow"
_FLAGS = ("-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}", f"-I{TARGETS}")


def names() -> list[str]:
    """The targets."""
    return [path.stem for path in sorted(TARGETS.glob("*.c")) if path.stem != SHARED]


def build(target: str, into: Path) -> Path:
    """The program that fuzzes *target*."""
    program = into / target
    sources = [TARGETS / f"{target}.c", TARGETS / f"{SHARED}.c", *(NATIVE / f"{name}.c" for name in SOURCES)]
    wrapped = [f"-Wl,--wrap={name}" for name in WRAPPED.get(target, ())]
    sanitizers = [f"-fsanitize=fuzzer,{_SANITIZERS}", "-fno-sanitize-recover=all"]
    subprocess.run(["clang", *_FLAGS, *sanitizers, *wrapped, "-o", program, *sources], check=True)
    return program


def run(program: Path, *arguments: str | Path) -> None:
    """Run it; what it finds fails the test, with the input in hexadecimal."""
    found = program.parent / "found"
    found.mkdir(exist_ok=True)
    seed = 0 if LONG else 1  # 0 is another one each time
    command = [program, f"-artifact_prefix={found}/", f"-max_len={LONGEST}", f"-seed={seed}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    inputs = "\n".join(f"{path.name}: {path.read_bytes().hex()}" for path in found.iterdir())
    assert done.returncode == 0, f"{inputs}\n{done.stderr[-4000:]}"
