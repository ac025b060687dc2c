# SPDX-License-Identifier: Apache-2.0
"""A pod that requests local memory, on a node that is rebooted: bound before and after it.

tests/vm/test_cluster.py runs this in a cluster at each boot.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import bede_system
import pods
from asking import asking, held, pod, told
from helpers import wait_until
from pods import DEADLINE, Pod, got, kubectl

REBOOT = Path("/run/bede-vm/reboot")
WORK = Path("/var/lib/bede-tests")  # survives a reboot
NAME = "survives"
CAPACITY = WORK / "capacity"
STORE = Path("/run/etcd")  #: of the box's cluster, which ends with the machine but in this test
KEPT = Path("/var/lib/etcd")
UNIT = Path("/usr/lib/systemd/system/etcd.service")
DROP_IN = Path("/etc/systemd/system/etcd.service.d/kept.conf")


class Survivor(Pod):
    """The pod that was made before the reboot."""

    def __init__(self):
        self.name, self.gate = NAME, WORK / NAME
        self.uid = got("pod", NAME)["metadata"]["uid"]


def before():
    """Make a pod, change its bound, and request a reboot."""
    bede_system.install()
    made = pod(NAME, asking("web", 96, "64Mi"))
    made.spec["spec"]["restartPolicy"] = "Always"
    made.__enter__().full("web")
    held(made, "web", 64)
    kubectl("annotate", "--overwrite", "pod", NAME, "bede.local/web=32Mi")
    wait_until("its bound has changed", lambda: told(made) == {"web": 32}, DEADLINE)
    (made.gate / "web/full").unlink()
    CAPACITY.write_text(str(bede_system.capacity()))
    keep_store()
    os.sync()
    REBOOT.touch()
    print("bound before")


def keep_store():
    """Have the cluster survive the reboot: its store is in memory otherwise."""
    subprocess.run(["systemctl", "stop", "kubelet", "kube-apiserver", "etcd"], check=True)
    # Nobody drains the node, and systemd would wait for each of the pods' shims.
    subprocess.run(["systemctl", "kill", "--signal=KILL", "kubepods.slice"], check=True)
    subprocess.run(["systemctl", "stop", "containerd"], check=True)
    subprocess.run(["pkill", "-KILL", "containerd-shim"], check=False)
    shutil.copytree(STORE, KEPT)
    (started,) = [line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart=")]
    DROP_IN.parent.mkdir(parents=True)  # the unit itself is written anew at each boot
    DROP_IN.write_text(f"[Service]\nExecStart=\n{started.replace(str(STORE), str(KEPT))}\n")


def after():
    """Wait until the pod runs again, and check its bound and what the node offers."""
    made = Survivor()
    assert bede_system.capacity() == int(CAPACITY.read_text())
    made.full("web")
    assert made.status("web")["restartCount"] >= 1
    held(made, "web", 32)
    wait_until("the node reports it", lambda: told(made) == {"web": 32}, DEADLINE)
    wait_until("the webhook answers", bede_system.answers, DEADLINE)
    assert bede_system.capacity() == int(CAPACITY.read_text())
    status = got("pod", NAME)["status"]
    assert status["phase"] == "Running", status
    made.__exit__()
    wait_until("the node reports none", lambda: not bede_system.local()["containers"], DEADLINE)
    print("bound after")


if __name__ == "__main__":
    pods.WORK = WORK
    with bede_system.explained():
        before() if os.environ["BEDE_VM_BOOT"] == "0" else after()
    sys.exit(0)
