# SPDX-License-Identifier: Apache-2.0
"""The model's two programs, built once: the emulator's plugin, and what speaks to it from the guest."""

import subprocess
from pathlib import Path

from ocihook.errors import InputError, MachineError
from vmlab import cache, image
from vmlab.model.profile import LINE, Memory, Profile
from vmlab.topology import Topology

HERE = Path(__file__).parent
NATIVE = HERE.parents[1] / "native"
MARK = "usr/local/bin/bede-mark"  #: in the machine
HEADER = "usr/local/include/bede-mark.h"
WARNINGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wshadow")
PLUGIN = (*WARNINGS, "-Wconversion", "-Wno-sign-conversion", "-fPIC", "-shared", "-fvisibility=hidden")
GUEST = (*WARNINGS, "-static", "-pthread")
PICOSECONDS = 1000  #: in a nanosecond


def ensure() -> Path:
    """The directory with ``model.so`` and ``bede-mark``, built if it is missing."""
    image.need({"gcc": "gcc"})
    trees = [*cache.tree(HERE / "plugin"), *cache.tree(HERE / "guest")]
    shared = [file.read_bytes() for file in _shared()]
    name = cache.digest([*trees, *shared, _header().encode()])
    return cache.built(f"model-{name}", _build)


def members(where: Path) -> dict[str, Path]:
    """Name in the machine → file on the host, of what a modelled machine has more than others."""
    return {MARK: where / "bede-mark", HEADER: HERE / "mark.h"}


def _shared() -> list[Path]:
    """What the guest's program shares with Bede's native code."""
    return [NATIVE / "btf.c", NATIVE / "btf.h"]


def _header() -> str:
    return (HERE / "mark.h").read_text() + repr((PLUGIN, GUEST))


def _build(out: Path) -> None:
    for flags, where, target in ((PLUGIN, "plugin", "model.so"), (GUEST, "guest", "bede-mark")):
        shared = _shared() if where == "guest" else []
        files = [str(path) for path in [*sorted((HERE / where).iterdir()), *shared] if path.suffix == ".c"]
        command = ["gcc", *flags, f"-I{HERE}", f"-I{NATIVE}", "-o", str(out / target), *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise MachineError(f"cannot build the model's {target}: {done.stderr.strip()}")


def configuration(profile: Profile, nodes: Topology, report: Path, log: Path | None = None) -> str:
    """The plugin's configuration, as `plugin/config.c` reads it."""
    cpu, private, shared = profile.cpu, profile.private, profile.shared
    lines = [
        f"instruction {_ps(cpu.instruction_ns)}",
        f"window {cpu.window} {max(cpu.overlap, 1)}",
        f"ahead {cpu.prefetched}",
        f"private {private.bytes} {private.ways}",
        f"shared {shared.bytes} {shared.ways} {_ps(shared.hit_ns)}",
    ]
    far = nodes.far()
    for at, here in enumerate(nodes.nodes):
        memory = profile.far if at in far else profile.local
        lines.append(f"device {at} {_line_time(memory.bandwidth_gbps)}")
        lines += [f"cpu {number} {at}" for number in here.cpus]
        for target in range(len(nodes.nodes)) if here.cpus else ():
            # Where all nodes have CPUs, each one's own memory is its local one.
            local = target == at or (target not in far and at not in far)
            link = _link(profile.local if local else profile.far, cpu.prefetched)
            lines.append(f"link {at} {target} {link}")
    lines += [f"range {node} {start} {end}" for node, start, end in nodes.physical()]
    lines.append(f"report {report}")
    if log is not None:
        lines.append(f"log {log}")
    return "\n".join(lines) + "\n"


def _link(memory: Memory, prefetched: int) -> str:
    # A CPU that has so many lines under way gets so many in the time that one of them takes (Little's law).
    return f"{_ps(memory.latency_ns)} {_ps(memory.latency_ns / max(prefetched, 1))}"


def _line_time(gbps: float) -> int:
    return round(LINE * PICOSECONDS / gbps) if gbps else 0


def _ps(nanoseconds: float) -> int:
    return round(nanoseconds * PICOSECONDS)


def arguments(where: Path, config: Path, seed: int) -> tuple[str, ...]:
    """QEMU's arguments for a machine that runs the same way each time, with the plugin in *where*."""
    if not 0 <= seed < 1 << 32:
        raise InputError(f"{seed} is no seed", "Give --seed a number below 2^32")
    plugin = f"file={where / 'model.so'}".replace(",", ",,") + f",config={config}"
    return ("-plugin", plugin, "-seed", str(seed), "-rtc", "base=2026-01-01T00:00:00,clock=vm")


#: More of the guest's command line: addresses that are the same at each boot.
APPEND = "nokaslr norandmaps"
