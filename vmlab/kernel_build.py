# SPDX-License-Identifier: Apache-2.0
"""Builds kernels from Debian's source, a patch series of `kernel-patch/` and a small configuration.

A kernel depends on the series, the configuration, Debian's source version and the compiler, and on nothing
else; if the cache has a kernel of the same four, that one is used. ccache shortens the next build.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ocihook.errors import MachineError
from vmlab import cache, image, kernel_source
from vmlab.progress import Progress

PATCHES = Path(__file__).parents[1] / "kernel-patch"
#: program → Debian package
TOOLS = {
    "make": "make",
    "gcc": "gcc",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "ccache": "ccache",
    "patch": "patch",
    "xz": "xz-utils",
}
HEADERS = {"/usr/include/gelf.h": "libelf-dev"}  # objtool needs it
CCACHE_SIZE = "3G"
REPORT_SECONDS = 15.0  #: between two lines of progress
LOG_LINES = 20
#: those of the kernel's selftests that are built with it and run in the machine
SELFTESTS = ("test_core", "test_cpuset", "test_memcontrol", "test_node_limit")


@dataclass(frozen=True)
class Recipe:
    """What to build: Debian's source *series* (6.12), configured by *fragments*, *patched* or not."""

    series: str
    fragments: tuple[str, ...] = ("config",)
    patched: bool = True

    def patches(self) -> list[Path]:
        """The patch files in the order of the ``series`` file."""
        if not self.patched:
            return []
        where = PATCHES / self.series
        lines = (where / "series").read_text().splitlines()
        return [where / line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def config(self) -> str:
        """The text of the configuration options that are set; all others are off."""
        texts = [(PATCHES / name).read_text() for name in (*self.fragments, f"{self.series}/config")]
        if self.patched:
            texts.append("CONFIG_MEMCG_NODE_LIMIT=y\n")
        return "".join(texts)

    def digest(self, version: str) -> str:
        """A hash that differs between kernels that differ."""
        compiler = subprocess.run(["gcc", "--version"], capture_output=True, check=False).stdout
        parts = [version.encode(), compiler.splitlines()[0] if compiler else b"", self.config().encode()]
        return cache.digest([*parts, *(path.read_bytes() for path in self.patches())])


def ensure(name: str, recipe: Recipe, progress: Progress) -> Path:
    """The directory of the kernel *name*, built if missing: vmlinuz, System.map, config and selftests/."""
    need()
    source = kernel_source.ensure(recipe.series, progress)
    version = kernel_source.version(source)
    wanted = f"kernel-{name}-{recipe.digest(version)}"
    return cache.built(wanted, lambda out: _build(out, name, recipe, source, progress))


def need() -> None:
    """Raise MachineError if a kernel cannot be built here, with what to do."""
    image.need(TOOLS)
    missing = sorted(package for file, package in HEADERS.items() if not Path(file).exists())
    if missing:
        raise MachineError(
            "building a kernel needs Debian packages that are not installed",
            "Run: apt-get install " + " ".join(missing),
        )
    if not PATCHES.is_dir():
        raise MachineError(
            "there is no kernel-patch/ here, so this kernel cannot be built",
            "Run bede from a checkout of its sources",
        )


def _build(out: Path, name: str, recipe: Recipe, source: Path, progress: Progress) -> None:
    progress.stage(f"kernel {name}: unpacking Debian's {kernel_source.version(source)}")
    tree = out.parent / "linux"
    kernel_source.unpack(source, tree)
    for patch in recipe.patches():
        _apply(patch, tree)
    fragment = out.parent / "fragment"
    fragment.write_text(recipe.config())
    progress.stage(f"kernel {name}: configuring")
    environment = _environment(tree)
    log = cache.root() / f"kernel-{name}.log"
    with log.open("w") as file:
        _run(["make", "-s", "allnoconfig"], tree, environment | {"KCONFIG_ALLCONFIG": str(fragment)}, file)
        _check_config(recipe.config(), (tree / ".config").read_text())
        progress.stage(f"kernel {name}: compiling (minutes; less when ccache knows its files)")
        _compile(name, tree, environment, file, progress)
    shutil.copy2(tree / "arch/x86/boot/bzImage", out / "vmlinuz")
    shutil.copy2(tree / "System.map", out / "System.map")
    shutil.copy2(tree / ".config", out / "config")
    _selftests(tree / "tools/testing/selftests", out / "selftests")
    progress.stage(f"kernel {name}: done")


def _apply(patch: Path, tree: Path) -> None:
    command = ["patch", "-p1", "--forward", "--batch", "--silent", "-i", str(patch)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MachineError(
            f"{patch.name} does not apply to Debian's source: {' | '.join(done.stdout.splitlines()[-5:])}",
            "Debian's source has moved on: rebase the series (kernel-patch/README.md says how)",
        )


def _environment(tree: Path) -> dict[str, str]:
    ccache = {
        "CCACHE_DIR": str(cache.root() / "ccache"),
        "CCACHE_MAXSIZE": CCACHE_SIZE,
        "CCACHE_BASEDIR": str(tree),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_SLOPPINESS": "time_macros",
    }
    # Make the build reproducible: the same bytes on every host and at any time.
    steady = {"KBUILD_BUILD_USER": "bede", "KBUILD_BUILD_HOST": "bede"}
    steady |= {"KBUILD_BUILD_TIMESTAMP": "1970-01-01", "KBUILD_BUILD_VERSION": "1", "LC_ALL": "C"}
    inherited = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return inherited | ccache | steady


def _run(command: list[str], tree: Path, environment: dict[str, str], log: TextIO) -> None:
    done = subprocess.run(
        command,
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        raise _failed(log)


def _failed(log: TextIO) -> MachineError:
    name = Path(log.name)
    lines = [line for line in name.read_text(errors="replace").splitlines() if "override:" not in line]
    return MachineError(
        "the kernel could not be built; the last lines: " + " | ".join(lines[-LOG_LINES:]),
        f"All of them are in {name}",
    )


def _check_config(wanted: str, got: str) -> None:
    """Raise MachineError if kconfig has dropped a *wanted* option, because a dependency is not set."""
    have = set(got.splitlines())
    lines = (line.strip() for line in wanted.splitlines())
    missing = [line for line in lines if re.fullmatch(r"CONFIG_\w+=[^n]+", line) and line not in have]
    if missing:
        raise MachineError("the kernel's configuration did not take " + ", ".join(missing))


def _compile(name: str, tree: Path, environment: dict[str, str], log: TextIO, progress: Progress) -> None:
    jobs = len(os.sched_getaffinity(0))
    command = ["setpriv", "--pdeathsig", "TERM", "make", f"-j{jobs}", "CC=ccache gcc", "HOSTCC=ccache gcc"]
    compiled = 0
    said = time.monotonic()
    for line in _lines([*command, "bzImage"], tree, environment):
        log.write(line)
        compiled += line.startswith(("  CC ", "  AS "))
        if time.monotonic() - said >= REPORT_SECONDS:
            said = time.monotonic()
            progress.stage(f"kernel {name}: {compiled} files compiled")
    log.flush()
    if not (tree / "arch/x86/boot/bzImage").exists():
        raise _failed(log)


def _selftests(tree: Path, out: Path) -> None:
    out.mkdir()
    include = [f"-I{path}" for path in (tree, tree / "cgroup", tree / "cgroup/lib/include")]
    (library,) = tree.glob("cgroup/**/cgroup_util.c")
    for name in SELFTESTS:
        source = tree / f"cgroup/{name}.c"
        if not source.exists():
            continue  # test_node_limit.c comes with the patches
        command = ["gcc", "-O1", "-w", "-static", "-pthread", *include, "-o", str(out / name)]
        done = subprocess.run(
            [*command, str(source), str(library)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise MachineError(f"the selftest {name} does not compile: {done.stderr.splitlines()[:3]}")


def _lines(command: list[str], tree: Path, environment: dict[str, str]) -> Iterator[str]:
    with subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as job:
        assert job.stdout is not None
        yield from job.stdout
