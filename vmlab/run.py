# SPDX-License-Identifier: Apache-2.0
"""`bede vm run`: one command in one throw-away machine."""

import contextlib
import os
import signal
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ocihook.errors import InputError
from vmlab import (
    bytecode,
    cache,
    cluster,
    emulator,
    ext4,
    image,
    initramfs,
    kernels,
    machine,
    payload,
    qemu,
    topology,
)
from vmlab.cluster import build as cluster_build
from vmlab.model.machine import Model, Wish
from vmlab.model.plugin import APPEND
from vmlab.progress import Progress

PASSED = ("TERM", "COLUMNS", "LINES", "NO_COLOR", "COLORTERM")
GUEST_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
}
PYTHONPATH = "/usr/lib/bede"  #: where the machine has this checkout


@dataclass(frozen=True)
class Options:
    """What `bede vm run` was asked for."""

    argv: list[str]
    kernel: str = kernels.DEFAULT
    topology: str = topology.DEFAULT
    memory: list[int] | None = None  #: MiB, one number for each node
    cpus: int | None = None  #: None: as many as the topology has
    share: Path | None = None
    out: Path | None = None
    timeout: float | None = None
    swap: int = 0  #: MiB of the swap disk; 0: none
    quiet: bool = False
    count: bool = False  #: the clock counts instructions: see `qemu.accelerator`
    model: Wish | None = None  #: a model of what memory costs; the clock counts instructions then, too
    qemu: tuple[str, ...] = ()  #: further arguments of QEMU
    reboots: int = 0  #: how many reboots the command may ask for
    bare: bool = False  #: a machine without Bede
    packages: tuple[str, ...] = ()  #: Debian packages, in addition to those that the machine has
    cluster: bool = False  #: start Kubernetes in it before the command


def environment(options: Options) -> dict[str, str]:
    """The command's environment: the machine's variables, and those of the host that are passed through."""
    here = {"BEDE_VM_KERNEL": options.kernel, "BEDE_VM_TOPOLOGY": options.topology}
    passed = {k: v for k, v in os.environ.items() if k in PASSED or k.startswith("BEDE_")}
    paths = {} if options.bare else {"PYTHONPATH": PYTHONPATH}
    clusters = cluster.ENVIRONMENT if options.cluster else {}
    return GUEST_ENV | paths | passed | here | clusters


def run(options: Options) -> int:
    """Boot, run the command, and return its status."""
    progress = Progress(options.quiet)
    with cache.scratch() as work, terminated(), left_behind(options.out, work) as tar:
        wish = options.model
        model = None if wish is None else Model.prepared(wish, machine_nodes(options), work)
        made = prepare(options, work, progress, model=model)
        sinks: dict[str, BinaryIO] = {
            "bede.stdout": sys.stdout.buffer,
            "bede.stderr": sys.stderr.buffer,
            "bede.out": tar,
        }

        def up(seconds: float) -> None:
            where = f"{options.topology}, {options.kernel}, {made.accel}"
            progress.stage(f"the machine is up after {seconds:.1f} s ({where})")

        def once() -> machine.Result:
            with machine.Running(made, str(work)) as running:
                return machine.follow(running, sinks, options.timeout, up, options.reboots)

        try:
            result = once()
        except machine.NeverUpError as exc:  # under emulation a CPU can miss what it waits for
            progress.stage(f"{exc}; starting it once more")
            for note in exc.__notes__:
                progress.stage(note)
            result = once()
        if model is not None:
            model.finish(progress)
    return result.status


def machine_nodes(options: Options) -> topology.Topology:
    """The machine's memory and CPUs."""
    nodes = topology.find(options.topology)
    memory = options.memory
    if memory is None and options.cluster:
        memory = [max(node.size, cluster.LEAST) for node in nodes.nodes]
    if memory is not None:
        nodes = nodes.resized(memory)
    return nodes if options.cpus is None else nodes.with_cpus(options.cpus)


def prepare(
    options: Options,
    work: Path,
    progress: Progress,
    tty: tuple[int, int] | None = None,
    model: Model | None = None,
) -> qemu.Machine:
    """Make what is missing of image and kernel, and put the machine's own disks into *work*."""
    if options.share is not None and not options.share.is_dir():
        raise InputError(f"--share {options.share} is not a directory")
    image.need(qemu.TOOLS | image.TOOLS)
    nodes = machine_nodes(options)
    root = image.ensure(progress, options.packages)
    kernel = kernels.ensure(options.kernel, root, progress)
    mapped = model is not None and kernel.mapped is not None
    (work / "initrd").write_bytes(initramfs.build(root / "busybox", kernel, mapped=mapped))
    files = {} if model is None else model.members()
    more = cluster.members() if options.cluster else {}
    argv = [*cluster.BEFORE, *options.argv] if options.cluster else options.argv
    job = payload.Job(argv, environment(options), tty, options.bare, files, more)
    compiled = bytecode.of(payload.members(options.bare), progress)
    (work / "payload").write_bytes(payload.build(job, compiled))
    disks = [qemu.Disk("root", root / "root.img", throwaway=True), qemu.Disk("payload", work / "payload")]
    if options.share is not None:
        ext4.write(options.share, work / "share")
        disks.append(qemu.Disk("share", work / "share"))
    if options.cluster:
        disks.append(qemu.Disk("cluster", cluster_build.ensure(progress) / cluster_build.DISK))
    if options.swap:
        with (work / "swap").open("wb") as file:
            file.truncate(options.swap << 20)
        disks.append(qemu.Disk("swap", work / "swap", throwaway=True))
    for disk in disks if mapped else ():
        if disk.path.stat().st_size != qemu.mapped_size(disk):
            os.truncate(disk.path, qemu.mapped_size(disk))
    program = emulator.program(emulator.ensure(progress))
    counts = options.count or model is not None
    return qemu.Machine(
        program,
        nodes,
        kernel.image,
        work / "initrd",
        tuple(disks),
        "count" if counts else qemu.best_accelerator(program, kernel.image),
        append="" if model is None else APPEND,
        reboots=options.reboots > 0,
        mapped=mapped,
        extra=(*options.qemu, *(() if model is None else model.arguments())),
    )


@contextlib.contextmanager
def left_behind(out: Path | None, work: Path) -> Iterator[BinaryIO]:
    """A sink for the tar of the machine's /out, which is unpacked into *out* on the host at the end."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with (work / "out.tar").open("w+b") as sink:
        yield sink
        sink.seek(0)
        if out is not None and sink.read(1):
            sink.seek(0)
            with tarfile.open(fileobj=sink) as tar:
                tar.extractall(out, filter="data")


@contextlib.contextmanager
def terminated() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that everything is cleaned up."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
