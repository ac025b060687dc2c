# SPDX-License-Identifier: Apache-2.0
"""The files that are unpacked over the machine's root at each boot: this checkout, and the command to run."""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vmlab.image import GUEST

CHECKOUT = Path(__file__).resolve().parents[1]
SKIP = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache")
UNITS = "/usr/lib/systemd/system"
WANTS = "etc/systemd/system/bede-run.target.wants"
#: (directory of the checkout, its files, where they go in the machine); a directory that does not exist is
#: left out. Of vmlab the machine gets the demo only: nothing in it needs what makes machines.
PLACES = (
    ("ocihook", "**/*", "usr/lib/bede/ocihook"),
    ("vmlab", "__init__.py", "usr/lib/bede/vmlab"),
    ("vmlab/demo", "**/*", "usr/lib/bede/vmlab/demo"),
    ("tests", "**/*", "usr/lib/bede/tests"),
    ("build/guest", "*", "usr/lib/bede/tests/vm/guest/workloads"),
    ("bench", "**/*", "usr/lib/bede/bench"),
    ("examples", "**/*", "usr/lib/bede/examples"),
    ("kubernetes", "**/*", "usr/lib/bede/kubernetes"),
    ("bin", "bede*", "usr/bin"),
    ("examples/podman", "*.json", "usr/share/containers/oci/hooks.d"),
    ("examples/docker", "daemon.json", "etc/docker"),
    ("examples/containerd", "*.toml", "etc/containerd/conf.d"),
    ("ocihook/agent/units", "*.s*", UNITS[1:]),
)
OFF = ("bede-metrics.service",)  #: units that are installed but not started


@dataclass(frozen=True)
class Job:
    """The command that the machine runs, and its environment; on a terminal if *tty* is (lines, columns)."""

    argv: list[str]
    env: dict[str, str]
    tty: tuple[int, int] | None = None
    bare: bool = False  #: leave out all of Bede, as on a host before its installation
    model: Mapping[str, Path] = field(default_factory=dict)  #: files for a modelled machine, by name in it
    more: Mapping[str, Path] = field(default_factory=dict)  #: further files; units among them do not start

    def json(self) -> bytes:
        """The job in the form that `runner.py` in the machine reads."""
        told = {"argv": self.argv, "env": self.env, "tty": self.tty, "model": bool(self.model)}
        return json.dumps(told).encode()


def _files(where: Path, pattern: str) -> Iterator[Path]:
    for path in sorted(where.glob(pattern)):
        if path.is_dir() or any(part in SKIP for part in path.parts):
            continue
        yield path


def members(bare: bool = False) -> dict[str, Path]:
    """Name in the machine → file on the host; *bare*: without Bede's files."""
    found = {str(path.relative_to(GUEST / "root")): path for path in _guest_files()}
    for source, pattern, target in () if bare else PLACES:
        where = CHECKOUT / source
        for path in _files(where, pattern):
            found[f"{target}/{path.relative_to(where)}"] = path
    return found


def masked() -> list[str]:
    """The units and generators that systemd in the machine must not start, as paths in the machine."""
    lines = (GUEST / "masked.txt").read_text().splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    return [f"etc/systemd/{'' if '/' in name else 'system/'}{name}" for name in names]


def _guest_files() -> Iterator[Path]:
    root = GUEST / "root"
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _links(files: dict[str, Path]) -> dict[str, str]:
    """Links in the machine: to Bede's units that it starts, and to /dev/null for the masked ones."""
    units = {Path(name).name for name in files if name.startswith(UNITS[1:] + "/")}
    sockets = {unit for unit in units if unit.endswith(".socket")}
    alone = {unit for unit in units if unit.endswith(".service") and "@" not in unit}.difference(OFF)
    wanted = {f"{WANTS}/{unit}": f"{UNITS}/{unit}" for unit in sockets | alone}
    return wanted | dict.fromkeys(masked(), "/dev/null")


def build(job: Job, bytecode: Mapping[str, Path] | None = None) -> bytes:
    """The payload as a tar for a disk. With *bytecode* of its modules the machine need not compile them."""
    out = io.BytesIO()
    own = members(job.bare)
    files = {**own, **(bytecode or {}), **job.model, **job.more}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        made: set[str] = set()
        for name, path in files.items():
            _add(tar, made, name, path.read_bytes(), 0o755 if path.stat().st_mode & 0o111 else 0o644)
        for name, target in _links(own).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        _add(tar, made, "etc/bede-vm/run.json", job.json(), 0o600)
    return out.getvalue()


def _add(tar: tarfile.TarFile, made: set[str], name: str, data: bytes, mode: int) -> None:
    # busybox tar makes missing parent directories itself, with the mode that the umask gives: 0755
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    tar.addfile(member, io.BytesIO(data))
