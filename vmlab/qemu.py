# SPDX-License-Identifier: Apache-2.0
"""Makes QEMU's command line, and tests whether this host's KVM works."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from vmlab import cache
from vmlab.topology import Topology

TOOLS = {"setpriv": "util-linux"}
TRIAL_SECONDS = 15.0
SECTION = 128 << 20  #: bytes; SECTION_SIZE_BITS in arch/x86/include/asm/sparsemem.h
#: The kernel's messages go to the console: that is all that a lost machine leaves behind.
APPEND = (
    "console=ttyS0 panic=-1 loglevel=6 rdinit=/init systemd.unit=bede-run.target "
    "systemd.show_status=auto systemd.log_color=no systemd.log_level=warning systemd.log_target=kmsg "
    "cgroup_no_v1=all systemd.firstboot=no random.trust_cpu=on mitigations=off audit=0 nowatchdog "
    "lsm=lockdown,capability tsc=reliable no_timer_check sysrq_always_enabled"
)


@dataclass(frozen=True)
class Disk:
    """One virtio disk, found by its *serial*; writes to a *throwaway* disk are lost at the end."""

    serial: str
    path: Path
    throwaway: bool = False


@dataclass(frozen=True)
class Machine:
    """Everything that QEMU has to know of one machine."""

    program: list[str]  #: the beginning of QEMU's command line: see `emulator.program`
    topology: Topology
    kernel: Path
    initrd: Path
    disks: tuple[Disk, ...]
    accel: str = "tcg"
    ports: dict[str, int] = field(
        default_factory=dict
    )  #: name of a virtio-serial port → descriptor of its socket
    console: int | None = None  #: descriptor of the socket behind the serial console
    monitor: int | None = None  #: descriptor of the socket behind QEMU's monitor
    append: str = ""
    reboots: bool = False  #: a reset boots again; else a reset ends QEMU, and so does a panic
    extra: tuple[str, ...] = ()  #: further arguments of QEMU
    mapped: bool = False  #: the disks are in the physical addresses: reading one is a copy by the CPU


def accelerator(name: str) -> list[str]:
    """``kvm``, ``tcg`` or ``count`` as QEMU's arguments.

    *count* is emulation in which each instruction takes a nanosecond, so that the clock counts instructions.
    """
    if name == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    # Without erms and fsrm the kernel copies words, not bytes, which emulation does eight times as fast.
    # Without the others, accesses to user memory and page table walks are cheaper: a tenth of the total time.
    cpu = ["-cpu", "max,erms=off,fsrm=off,smap=off,smep=off,pku=off,la57=off"]
    if name == "count":
        return ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", *cpu]
    return ["-accel", "tcg,thread=multi", *cpu]


def arguments(machine: Machine) -> list[str]:
    """The whole command line. QEMU is killed when its parent dies, however that happens."""
    args = ["setpriv", "--pdeathsig", "KILL", *machine.program]
    args += ["-nodefaults", "-no-user-config", "-display", "none"]
    args += [] if machine.reboots else ["-no-reboot"]
    args += accelerator(machine.accel)
    mapped = machine.disks if machine.mapped else ()
    args += machine.topology.arguments(sum(map(mapped_size, mapped)) >> 20)
    args += ["-kernel", str(machine.kernel), "-initrd", str(machine.initrd)]
    names = "bede.mapped=" + ",".join(disk.serial for disk in mapped) if mapped else ""
    args += ["-append", " ".join(filter(None, (APPEND, machine.topology.kernel, names, machine.append)))]
    for disk in machine.disks:
        args += _mapped(disk) if machine.mapped else _virtio(disk)
    if machine.console is not None:
        args += ["-chardev", f"socket,id=console,fd={machine.console}", "-serial", "chardev:console"]
    if machine.monitor is not None:
        args += ["-chardev", f"socket,id=monitor,fd={machine.monitor}", "-mon", "chardev=monitor"]
    if machine.ports:
        args += ["-device", "virtio-serial-pci"]
    for name, fd in machine.ports.items():
        ident = name.replace(".", "-")
        args += ["-chardev", f"socket,id={ident},fd={fd}"]
        args += ["-device", f"virtserialport,chardev={ident},name={name}"]
    return [*args, *machine.extra]


def mapped_size(disk: Disk) -> int:
    """The size in bytes of *disk* where it is mapped: whole sections, as the kernel has it of memory."""
    return -(-disk.path.stat().st_size // SECTION) * SECTION


def _mapped(disk: Disk) -> list[str]:
    # Private: what the machine writes goes with it.
    path = str(disk.path).replace(",", ",,")
    what = f"memory-backend-file,id={disk.serial},mem-path={path},size={mapped_size(disk)}"
    return [
        *("-object", f"{what},share=off,readonly=on,rom=off"),
        *("-device", f"virtio-pmem-pci,memdev={disk.serial}"),
    ]


def _virtio(disk: Disk) -> list[str]:
    mode = "snapshot=on,cache=unsafe" if disk.throwaway else "readonly=on"
    path = str(disk.path).replace(",", ",,")
    return [
        *("-drive", f"if=none,id={disk.serial},format=raw,{mode},file={path}"),
        *("-device", f"virtio-blk-pci,drive={disk.serial},serial={disk.serial}"),
    ]


def best_accelerator(program: list[str], kernel: Path) -> str:
    """``kvm`` if a kernel starts under it on this host, else ``tcg``; remembered until the host reboots."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    verdict = cache.root() / "accel"
    try:
        known, name = verdict.read_text().split()
        if known == boot and name in ("kvm", "tcg"):
            return name
    except (OSError, ValueError):
        pass
    name = "kvm" if _trial(program, kernel) else "tcg"
    with cache.scratch() as work:
        (work / "accel").write_text(f"{boot} {name}\n")
        (work / "accel").replace(verdict)
    return name


def _trial(program: list[str], kernel: Path) -> bool:
    # Without a root disk the kernel panics, which is enough to see: KVM works if it gets that far.
    args = ["setpriv", "--pdeathsig", "KILL", *program]
    args += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    args += ["-machine", "q35", "-m", "512M", *accelerator("kvm"), "-serial", "stdio"]
    args += ["-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(
            args, stdin=subprocess.DEVNULL, capture_output=True, timeout=TRIAL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"Kernel panic" in done.stdout
