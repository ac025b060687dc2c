# SPDX-License-Identifier: Apache-2.0
"""Builds the native code once with each kind of sanitizers."""

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parents[2] / "native"


def build(
    name: str, sanitizers: str, into: Path, only: tuple[str, ...] = (), beside: tuple[str, ...] = ()
) -> Path:
    """Build `NAME.c`, the files *beside* it, and the native code: all, or *only* some files.

    Each finding of *sanitizers* is fatal.
    """
    program = into / name
    sources = [path for path in sorted(NATIVE.glob("*.c")) if "_native" not in path.name]
    if only:
        sources = [NATIVE / f"{one}.c" for one in only]
    flags = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{NATIVE}"]
    flags += [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all"]
    own = [HERE / f"{one}.c" for one in (name, *beside)]
    subprocess.run(["gcc", *flags, "-o", program, *own, *sources, "-lm"], check=True)
    return program


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`harness.c` with AddressSanitizer and UBSan."""
    return build("harness", "address,undefined", tmp_path_factory.mktemp("harness"))


@pytest.fixture(scope="session")
def heat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`heat.c` with AddressSanitizer and UBSan."""
    return build("heat", "address,undefined", tmp_path_factory.mktemp("heat"))


@pytest.fixture(scope="session")
def heat_race(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`heat.c` with ThreadSanitizer."""
    return build("heat", "thread", tmp_path_factory.mktemp("heat_race"))


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`exchange.c` with AddressSanitizer and UBSan; it stands in for what calls the kernel."""
    real = ("exchange", "worth", "learn", "forecast", "hits", "search", "scores", "shared", "order", "recent")
    real += ("pagelist", "ranges", "kfile")
    return build("exchange", "address,undefined", tmp_path_factory.mktemp("exchange"), real, ("simulated",))


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`samples.c` with AddressSanitizer and UBSan; DAMON is not there."""
    real = ("sampled", "perf", "pmu", "sightings", "scores", "ranges", "kfile")
    return build("samples", "address,undefined", tmp_path_factory.mktemp("samples"), real)


@pytest.fixture(scope="session")
def sampling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sampling.c` with AddressSanitizer and UBSan; it stands in for the processor, the clock and DAMON."""
    real = ("sampled", "sightings", "scores", "ranges")
    return build("sampling", "address,undefined", tmp_path_factory.mktemp("sampling"), real)


@pytest.fixture(scope="session")
def race(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`race.c` with ThreadSanitizer."""
    return build("race", "thread", tmp_path_factory.mktemp("race"))


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    """A directory of plain files in place of a cgroup."""
    files = {
        "memory.current": "1600000\n",
        "memory.high": "max\n",
        "memory.max": "max\n",
        "memory.events": "high 0\n",
        "memory.swap.max": "max\n",
        "memory.swap.current": "0\n",
        "memory.numa_stat": "inactive_anon N0=1044480 N1=409600\nactive_anon N0=0 N1=0\n",
    }
    where = tmp_path / "cgroup"
    where.mkdir()
    for name, text in files.items():
        (where / name).write_text(text)
    return where
