"""The native code, built once with the sanitizers."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`harness.c` with AddressSanitizer and UBSan, every finding fatal."""
    program = tmp_path_factory.mktemp("harness") / "harness"
    sources = [str(path) for path in sorted((ROOT / "native").glob("*.c"))]
    flags = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    here = Path(__file__).parent / "harness.c"
    sources = [source for source in sources if "_native" not in source]
    subprocess.run(
        ["gcc", *flags, "-I", str(ROOT / "native"), "-o", str(program), str(here), *sources], check=True
    )
    return program
