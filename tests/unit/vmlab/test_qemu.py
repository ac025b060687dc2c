# SPDX-License-Identifier: Apache-2.0
"""QEMU's command line."""

from dataclasses import replace
from pathlib import Path

import pytest

from vmlab import cache, qemu, topology


def machine(ports: dict[str, int] | None = None, console: int | None = None) -> qemu.Machine:
    disks = (qemu.Disk("root", Path("/c/root.img"), throwaway=True), qemu.Disk("payload", Path("/t/a,b")))
    nodes = topology.find("two-tier")
    return qemu.Machine(["qemu"], nodes, Path("/k"), Path("/i"), disks, ports=ports or {}, console=console)


def test_only_the_throwaway_disk_takes_writes_and_the_image_never_does() -> None:
    args = qemu.arguments(machine())
    drives = [args[i + 1] for i, arg in enumerate(args) if arg == "-drive"]
    assert "snapshot=on" in drives[0] and "readonly" not in drives[0]
    assert drives[1].endswith("readonly=on,file=/t/a,,b")
    assert "virtio-blk-pci,drive=payload,serial=payload" in args


def test_each_port_is_a_socket_under_its_name() -> None:
    args = qemu.arguments(machine(ports={"bede.status": 7}, console=9))
    assert "socket,id=bede-status,fd=7" in args
    assert "virtserialport,chardev=bede-status,name=bede.status" in args
    assert "socket,id=console,fd=9" in args


def test_qemu_dies_with_its_parent_and_a_panic_ends_it() -> None:
    args = qemu.arguments(machine())
    assert args[:3] == ["setpriv", "--pdeathsig", "KILL"]
    assert "-no-reboot" in args
    assert "panic=-1" in args[args.index("-append") + 1].split()


def test_machine_that_may_reboot() -> None:
    assert "-no-reboot" not in qemu.arguments(replace(machine(), reboots=True))


def test_kvm_has_to_prove_itself_once_a_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    trials: list[Path] = []

    def trial(program: list[str], kernel: Path) -> bool:
        trials.append(kernel)
        return False

    monkeypatch.setattr(qemu, "_trial", trial)
    monkeypatch.setattr("os.access", lambda *_: True)
    assert [qemu.best_accelerator(["qemu"], Path("/k")) for _ in range(2)] == ["tcg", "tcg"]
    assert len(trials) == 1
    (cache.root() / "accel").write_text("another-boot kvm\n")
    assert qemu.best_accelerator(["qemu"], Path("/k")) == "tcg"
    assert len(trials) == 2


def test_no_kvm_device_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert qemu.best_accelerator(["qemu"], Path("/k")) == "tcg"
