# SPDX-License-Identifier: Apache-2.0
"""Kubernetes in the machine: the tests in `guest/cluster`, each reported by its name."""

import machines
import pytest

SECONDS = 2400.0  #: a cluster is there after two to four minutes; who suffers is found after six to fifteen
KERNELS = ("debian-6.12", "debian-7.3", "bede-6.12", "bede-7.3")

pytestmark = pytest.mark.rarely  # the cluster's start alone takes minutes


def run(kernel: str, file: str, topology: str = "two-tier") -> None:
    """Run the tests of one file in a cluster."""
    machines.passes(f"cluster/{file}", kernel=kernel, topology=topology, cluster=True, seconds=SECONDS)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_node_by_annotations_alone(kernel: str) -> None:
    run(kernel, "test_node.py")


@pytest.mark.parametrize("kernel", ("debian-6.12", "bede-6.12", "bede-7.3"))
def test_local_memory_as_a_resource(kernel: str) -> None:
    run(kernel, "test_local_memory.py")


@pytest.mark.parametrize("kernel", ("debian-6.12", "bede-6.12"))
def test_what_is_learned_and_lent(kernel: str) -> None:
    run(kernel, "test_lending.py")


@pytest.mark.parametrize("kernel", ("debian-6.12",))
def test_who_suffers(kernel: str) -> None:
    run(kernel, "test_suffering.py")


def test_the_node_is_killed_again_and_again() -> None:
    run("debian-6.12", "test_killed.py")


def test_nodes_that_only_the_api_server_has() -> None:
    run("debian-6.12", "test_fakes.py")


def test_a_node_is_rebooted() -> None:
    boot = machines.boot(
        *("python3", "-B", f"{machines.THERE}/scripts/cluster_reboot.py"),
        kernel="debian-6.12",
        topology="two-tier",
        live=True,
        cluster=True,
        reboots=1,
        seconds=SECONDS,
    )
    assert boot.status == 0, boot.tail()
    assert boot.out == "bound before\nbound after\n"


def test_a_node_without_far_memory() -> None:
    run("debian-6.12", "test_no_far_memory.py", "single")
