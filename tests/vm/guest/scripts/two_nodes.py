# SPDX-License-Identifier: Apache-2.0
"""Two machines on one network, each a node of one cluster: the scheduler shares pods out by local memory.

tests/vm/test_two_nodes.py runs this in both. The first one has the control plane. The second one's own ends
as soon as it has begun, and its kubelet joins the first one's. Both check what their own kernel says.
"""

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import bede_system
from asking import asking, pod
from bede_system import RESOURCE
from helpers import CGROUPS, MIB, run, sample, slack, wait_until
from pods import got, kubectl, why_not

LINK = "eth0"
ADDRESSES = ("10.98.0.1", "10.98.0.2")
FIRST = "10.99.0.1"  #: what the control plane listens at; the other machine had the same
OTHER = "box2"
ADMIN = Path("/etc/kubernetes/admin.conf")
UNITS = Path("/usr/lib/systemd/system")
DEADLINE = 900.0  #: seconds: two emulated machines share the host's processors
DONE = "done"  #: a ConfigMap; the second machine ends once it is there
BOUND = 64
ASKED = 0.6  #: of a node's local memory that each pod requests


def shell(*lines):
    """Run commands, which have to succeed."""
    done = run("sh", "-ec", "\n".join(lines))
    assert done.returncode == 0, done.stderr


def link(number):
    """Connect this machine to the other one, and route the other one's pods there."""
    other = ADDRESSES[1 - number]
    shell(
        "modprobe virtio_net",
        f"ip addr add {ADDRESSES[number]}/24 dev {LINK}",
        f"ip link set {LINK} up",
        f"ip route add 10.88.{1 - number}.0/24 via {other}",
    )


def first():
    """The control plane's machine: two pods that fit on no node together are on two, each in its bound."""
    link(0)
    wait_until("the other node is ready", lambda: is_ready(OTHER), DEADLINE)
    bede_system.install()
    wait_until("both nodes offer local memory", lambda: len(offering()) == 2, DEADLINE)
    sizes = offering()
    print(f"local memory: {sizes}", flush=True)
    asked = f"{int(ASKED * min(sizes.values())) // MIB}Mi"
    made = [pod(name, asking("web", 2 * BOUND, asked)) for name in ("one", "two")]
    for one in made:
        kubectl("create", "-f", "-", stdin=json.dumps(one.spec))
    wait_until("both run", lambda: all(phase(one.name) == "Running" for one in made), DEADLINE)
    places = {one.name: got("pod", one.name)["spec"]["nodeName"] for one in made}
    assert set(places.values()) == {"box", OTHER}, places
    for one in made:
        kubectl("annotate", "--overwrite", "pod", one.name, f"bede.local/web={BOUND}Mi")
    wait_until("both nodes report the bound", lambda: reported() == {"one": BOUND, "two": BOUND}, DEADLINE)
    third = pod("three", asking("web", 16, asked))
    kubectl("create", "-f", "-", stdin=json.dumps(third.spec))
    wait_until("the third one fits nowhere", lambda: "2 Insufficient" in why_not("three"), DEADLINE)
    print(f"this one's kernel: {check('box')} MiB", flush=True)
    kubectl("create", "configmap", DONE)
    # It says by its annotation that its kernel holds the bound.
    wait_until("the other machine has checked", lambda: "checked" in annotations(), DEADLINE)
    print(f"the other one's kernel: {annotations()['checked']} MiB", flush=True)


def second():
    """The other node's machine."""
    link(1)
    units = ("kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
    shell(f"systemctl stop {' '.join(units)}", f"ip addr del {FIRST}/24 dev box0 || true")
    shell("ip route del default || true", f"ip route add {FIRST} via {ADDRESSES[0]}")
    shell("ip route add default dev box0; rm -rf /var/lib/kubelet/pods /run/cni-ipam")
    rewrite(ADMIN, "127.0.0.1:6443", f"{FIRST}:6443")
    rewrite(Path("/etc/kubernetes/kubelet.yaml"), f"address: {FIRST}", f"address: {ADDRESSES[1]}")
    rewrite(Path("/etc/cni/net.d/10-box.conflist"), "10.88.0.0/24", "10.88.1.0/24")
    for unit in ("kubelet", "kube-proxy"):
        rewrite(UNITS / f"{unit}.service", "--hostname-override=box", f"--hostname-override={OTHER}")
    rewrite(UNITS / "kubelet.service", f"--node-ip={FIRST}", f"--node-ip={ADDRESSES[1]}")
    shell("systemctl daemon-reload", "systemctl restart containerd", "systemctl start kubelet kube-proxy")
    wait_until("the first machine has its pods", is_done, DEADLINE)
    kubectl("annotate", "configmap", DONE, f"checked={check(OTHER)}")


def rewrite(path, before, after):
    """Replace a text in a file, which has to have it."""
    text = path.read_text()
    assert before in text, f"{path} has no {before}"
    path.write_text(text.replace(before, after))


def is_ready(name):
    """Whether a node is there and ready."""
    found = [one for one in got("node")["items"] if one["metadata"]["name"] == name]
    conditions = found[0]["status"].get("conditions", []) if found else []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def is_done():
    """Whether the first machine is done."""
    words = ["kubectl", "get", "configmap", DONE, "-o", "name"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def annotations():
    """What the second machine has written for the first one."""
    return json.loads(kubectl("get", "configmap", DONE, "-o", "json"))["metadata"].get("annotations", {})


def offering():
    """{node: bytes} of local memory that the scheduler may give away."""
    found = {
        one["metadata"]["name"]: int(one["status"]["allocatable"].get(RESOURCE, 0))
        for one in got("node")["items"]
    }
    return {name: size for name, size in found.items() if size}


def phase(name):
    """The phase of a pod."""
    return got("pod", name)["status"]["phase"]


def reported():
    """{pod: bound in MiB} as both nodes report it."""
    return {
        one["pod"]: one["bound"] // MIB
        for local in got("nodelocalmemory")["items"]
        for one in local.get("status", {}).get("containers", [])
    }


def check(node):
    """Check by this machine's kernel that the pod of its *node* is at its bound. Returns its local MiB."""
    # By kubectl, which the second machine has told where the API server is.
    every = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
    (pod,) = [one for one in every if one["spec"].get("nodeName") == node]
    (status,) = pod["status"]["containerStatuses"]
    id = status["containerID"].rpartition("/")[2]
    (cgroup,) = CGROUPS.glob(f"kubepods.slice/**/cri-containerd-{id}.scope")
    # What has gone is counted up to two seconds later.
    most = BOUND * MIB + slack(BOUND * MIB)
    wait_until("the kernel has the bound", lambda: sample(cgroup)[0] <= most, DEADLINE)
    local, far = sample(cgroup)
    assert local >= BOUND * MIB // 2, (local, far)
    assert local + far >= 2 * BOUND * MIB, (local, far)
    return local // MIB


if __name__ == "__main__":
    with bede_system.explained():
        {"first": first, "second": second}[sys.argv[1]]()
    sys.exit(0)
