# SPDX-License-Identifier: Apache-2.0
"""bede-node is killed at random moments: bounds stay, and what was wanted meanwhile is carried out.

It runs beside its DaemonSet's place, as a process of the node: the kubelet would wait for minutes before it
starts a container again that has ended so often.
"""

import os
import random
import signal
import subprocess
import time

import bede_system
import pytest
from asking import asking, pod, told
from bede_system import NAMESPACE, NODE
from helpers import MIB, sample, slack, wait_until
from pods import DEADLINE, kubectl

pytestmark = pytest.mark.usefixtures("installed")

KILLS = 100 if os.environ.get("BEDE_SOAK") else 10
LIFE = 6.0  #: seconds that it lives at most: emulated, half of them are its start
NOWHERE = '{"spec":{"template":{"spec":{"nodeSelector":{"bede.dev/nowhere":"true"}}}}}'


def started():
    """A bede-node of this machine's."""
    words = ["bede-node", "--kubeconfig=/etc/kubernetes/admin.conf", "--reserve=10%"]
    environment = dict(os.environ, NODE_NAME=NODE)
    return subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_bounds_stay_whenever_it_is_killed():
    kubectl("patch", "daemonset", "bede-node", "-n", NAMESPACE, "-p", NOWHERE)
    wait_until("its pod is gone", lambda: not bede_system.pods("bede-node"), DEADLINE)
    random.seed(16)
    with pod("stays", asking("web", 96, "64Mi")) as made:
        made.full("web")
        bound, highest = 64, 0
        for number in range(KILLS):
            process = started()
            if number % 5 == 4:
                bound = random.choice((32, 48, 64))
                kubectl("annotate", "--overwrite", "pod", "stays", f"bede.local/web={bound}Mi")
            end = time.monotonic() + random.uniform(0, LIFE)
            while time.monotonic() < end:
                local, _ = sample(made.cgroup("web"))
                highest = max(highest, local)
                assert local <= 64 * MIB + slack(64 * MIB)
                time.sleep(0.2)
            process.send_signal(signal.SIGKILL)
            process.wait()
        print(f"killed {KILLS} times; at most {highest / MIB:.1f} of 64 MiB were local")
        process = started()
        try:
            wait_until("what was wanted last is so", lambda: told(made) == {"web": bound}, DEADLINE)
            full = bound * MIB + slack(bound * MIB)
            wait_until("the kernel has it", lambda: sample(made.cgroup("web"))[0] <= full, DEADLINE)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
