# SPDX-License-Identifier: Apache-2.0
"""Bede's own programs in the machine's cluster: installed as the documentation says, and taken away again."""

import contextlib
import http.client
import json
import subprocess
import sys
import time
from pathlib import Path

import taught
from helpers import wait_until
from pods import DEADLINE, got, kubectl

sys.path.insert(0, "/usr/lib/bede-vm")

from cluster_api import Api, RefusedError

KUBERNETES = Path(__file__).resolve().parents[4] / "kubernetes"
OVERLAY = Path(__file__).resolve().parents[1] / "cluster/single"
NAMESPACE = "bede-system"
RESOURCE = "bede.dev/local-memory"
LENT = "bede.dev/lent-memory"
NODE = "box"
#: an authority of its own each time
CERTIFICATE = f"set -e; cd $(mktemp -d); sh {KUBERNETES}/certificate.sh >made; kubectl apply -f made"


def certify():
    """Make the Secret with the webhook's certificate, or replace it by a new one."""
    done = subprocess.run(["sh", "-c", CERTIFICATE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def install():
    """Install Bede in the cluster, and wait until the node says what local memory it has."""
    kubectl("apply", "-f", str(KUBERNETES / "base/namespace.yaml"))
    certify()
    kubectl("apply", "-k", str(OVERLAY))
    wait_until("the node has local memory", lambda: capacity() > 0, DEADLINE)
    wait_until("the webhook answers", answers, DEADLINE)


def answers():
    """Whether admission refuses a pod that it has to refuse."""
    asked = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "trial"},
        "spec": {
            "containers": [{"name": "a", "image": "x", "resources": {"limits": {RESOURCE: "1"}}}],
        },
    }
    try:
        Api().ask("POST", "/api/v1/namespaces/default/pods?dryRun=All", asked)
    except RefusedError as error:
        return "less than the least bound" in str(error)
    except (OSError, http.client.HTTPException):
        pass
    return False


def capacity():
    """The bytes of local memory that the scheduler may give away on the node; 0 if none."""
    return int(got("node", NODE)["status"]["allocatable"].get(RESOURCE, 0))


def lent():
    """The bytes of lent memory that the node offers."""
    return int(got("node", NODE)["status"]["capacity"].get(LENT, 0))


def local():
    """The status of the node's NodeLocalMemory."""
    return got("nodelocalmemory", NODE).get("status", {})


def uninstall():
    """Take Bede out of the cluster, in the order that the documentation has."""
    kubectl("delete", "daemonset", "bede-node", "-n", NAMESPACE, "--ignore-not-found", "--wait=true")
    wait_until("bede-node is gone", lambda: not pods("bede-node"), DEADLINE)
    kubectl("delete", "nodelocalmemory", "--all")
    wait_until(
        "the node has none any more",
        lambda: RESOURCE not in got("node", NODE)["status"]["capacity"],
        DEADLINE,
    )
    kubectl("delete", "-k", str(OVERLAY), "--ignore-not-found")


def learned(name, container, megabytes):
    """Make a profile for the pods with the label app=NAME that has learned what *container* needs."""
    profile = {
        "apiVersion": "bede.dev/v1alpha1",
        "kind": "LocalMemoryProfile",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "mode": "Live"},
    }
    kubectl("delete", "localmemoryprofile", name, "--ignore-not-found")
    kubectl("apply", "-f", "-", stdin=json.dumps(profile))
    size = megabytes << 20
    status = {"containers": [taught.container(container, size, size, time.time())]}
    # kubectl of this version cannot write a status.
    path = f"/apis/bede.dev/v1alpha1/namespaces/default/localmemoryprofiles/{name}/status"
    Api().ask("PATCH", path, {"status": status}, "application/merge-patch+json")


def pods(name):
    """The pods of one of the programs."""
    return got("pod", namespace=NAMESPACE, labels=f"app.kubernetes.io/name={name}")["items"]


@contextlib.contextmanager
def explained():
    """Print what the programs have said, if the block fails."""
    try:
        yield
    except BaseException:
        for name in ("bede-node", "bede-controller", "bede-webhook"):
            print(f"== {name}\n{log(name)}", file=sys.stderr)
        found = subprocess.run(
            ["kubectl", "get", "pods,nodes", "-A", "-o", "wide"], capture_output=True, check=False
        )
        print(found.stdout.decode(), file=sys.stderr, flush=True)
        raise


def log(name):
    """What one of the programs has said."""
    words = ["kubectl", "logs", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name={name}", "--tail=30"]
    now, before = (
        subprocess.run([*words, *more], capture_output=True, text=True, check=False).stdout
        for more in ([], ["--previous"])
    )
    return f"{before}{now}"
