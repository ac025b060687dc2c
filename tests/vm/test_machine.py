# SPDX-License-Identifier: Apache-2.0
"""Machines in which no bound can be held, and a machine that is rebooted while it has bound containers."""

import machines
import pytest

BUNDLE = "/usr/lib/bede/examples/runc/make-bundle /tmp/b 64M echo started"


def script(*lines: str) -> tuple[str, ...]:
    return ("sh", "-c", "\n".join(lines))


@pytest.mark.parametrize(
    ("topology", "wrong", "todo"),
    (
        (
            "single",
            "this host has one NUMA node, so there is no far memory",
            "Bind containers on a host with",
        ),
        ("two-socket", "nodes 0, 1 are all in one memory tier", "far_nodes: [1]"),
    ),
)
def test_host_that_cannot_hold_a_bound(topology: str, wrong: str, todo: str) -> None:
    boot = machines.boot(
        *script(
            BUNDLE,
            "for runtime in runc crun; do $runtime run --bundle /tmp/b $runtime; echo status $?; done",
            "echo == left; ls /run/bede/containers; ls -d /sys/fs/cgroup/*/*runc* /sys/fs/cgroup/*runc*",
            "echo == warn",
            "mkdir -p /etc/bede; echo on_unsupported: warn > /etc/bede/config.yaml",
            "for runtime in runc crun; do $runtime run --bundle /tmp/b $runtime; echo status $?; done",
        ),
        kernel="debian-6.12",
        topology=topology,
        cpus=1 if topology == "single" else 0,
    )
    assert not boot.lost, boot.tail()
    refused, _, rest = boot.out.partition("== left\n")
    left, _, warned = rest.partition("== warn\n")
    assert "started" not in refused
    assert "status 0" not in refused
    assert left == ""
    assert warned == "started\nstatus 0\n" * 2
    said = [line for line in boot.err.splitlines() if wrong in line]
    assert len(said) == 4, boot.err
    assert all(todo in line for line in said)
    assert all("runs without a bound" in line for line in said[2:])
    assert "Traceback" not in boot.err


@pytest.mark.rarely
@pytest.mark.parametrize("kernel", ("debian-6.12", "bede-7.3"))
def test_containers_that_start_at_boot_are_bound_after_a_reboot(kernel: str) -> None:
    boot = machines.boot(
        *("python3", "-B", f"{machines.THERE}/scripts/reboot.py"),
        kernel=kernel,
        topology="two-tier",
        cpus=1,
        reboots=1,
    )
    assert boot.status == 0, boot.tail()
    assert boot.out == "bound before\nbound after\n"
