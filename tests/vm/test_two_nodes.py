# SPDX-License-Identifier: Apache-2.0
"""Two machines as the nodes of one cluster, with real kubelets, on a network that only these two have."""

import concurrent.futures
import tempfile
from pathlib import Path

import machines
import pytest

SECONDS = 2400.0
ROLES = ("first", "second")


@pytest.mark.rarely
def test_pods_are_shared_out_by_local_memory() -> None:
    machines.ensure_cluster()  # each of the two would wait until the other one has gone
    with tempfile.TemporaryDirectory() as directory, concurrent.futures.ThreadPoolExecutor(2) as pool:

        def boot(number: int) -> machines.Boot:
            mine, other = (Path(directory, f"{ROLES[at]}.sock") for at in (number, 1 - number))
            network = f"dgram,id=link,local.type=unix,local.path={mine},remote.type=unix,remote.path={other}"
            card = f"virtio-net-pci,netdev=link,mac=52:54:00:00:00:0{number + 1}"
            return machines.boot(
                *("python3", "-B", f"{machines.THERE}/scripts/two_nodes.py", ROLES[number]),
                kernel="debian-6.12",
                topology="two-tier",
                live=True,
                seconds=SECONDS,
                cluster=True,
                more=("--qemu=-netdev", f"--qemu={network}", "--qemu=-device", f"--qemu={card}"),
            )

        for role, done in zip(ROLES, pool.map(boot, range(2)), strict=True):
            assert done.status == 0, f"{role}: {done.tail()}"
