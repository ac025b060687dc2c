# SPDX-License-Identifier: Apache-2.0
"""Makes pods on the machine's cluster, and finds their cgroups."""

import http.client
import json
import shutil
import subprocess
import sys
import time
import urllib.parse

from helpers import CGROUPS, IMAGE, STEADY, WORK, wait_until

sys.path.insert(0, "/usr/lib/bede-vm")

from cluster_api import Api

PROGRAMS = STEADY.rpartition("/")[0]
RIGHT = 7  #: status of steady where its memory has what it wrote
DEADLINE = 240.0  #: seconds for a pod to run: emulated, one takes five to twenty


def kubectl(*words, stdin=None):
    """Run kubectl, which has to succeed. Returns its output."""
    done = subprocess.run(["kubectl", *words], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout


#: kind → its list
LISTS = {
    "pod": "/api/v1/namespaces/{namespace}/pods",
    "event": "/api/v1/namespaces/{namespace}/events",
    "secret": "/api/v1/namespaces/{namespace}/secrets",
    "node": "/api/v1/nodes",
    "nodelocalmemory": "/apis/bede.dev/v1alpha1/nodelocalmemories",
    "mutatingwebhookconfiguration": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
}
ANSWER, PATIENCE = 30.0, 240.0  #: seconds for one answer of the API server, and for one of several attempts


def got(kind, name="", namespace="default", labels="", fields=""):
    """An object of that *kind*, or without a *name* the list of them. Tests wait by asking for it again.

    Not by kubectl: where everything is emulated, that takes seconds of the processors that the cluster needs.
    """
    path = LISTS[kind].format(namespace=namespace) + (f"/{name}" if name else "")
    asked = {"labelSelector": labels, "fieldSelector": fields}
    query = urllib.parse.urlencode({key: value for key, value in asked.items() if value})
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return Api(ANSWER).ask("GET", f"{path}?{query}")
        except (OSError, http.client.HTTPException):
            if time.monotonic() > end:
                raise
            time.sleep(1)


def why_not(name):
    """Why the scheduler has no node for a pod; "" if it does not say."""
    conditions = got("pod", name)["status"].get("conditions", [])
    return next((one.get("message", "") for one in conditions if one["type"] == "PodScheduled"), "")


def steady(name, megabytes, limit=None):
    """A container that holds *megabytes* until it is stopped, with *limit* as its ``limits.memory``."""
    run = f"mkdir -p /gate/{name}; /programs/steady /gate/{name} {megabytes}"
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", f"{run}; [ $? -eq {RIGHT} ]"],
        "volumeMounts": [
            {"name": "programs", "mountPath": "/programs", "readOnly": True},
            {"name": "gate", "mountPath": "/gate"},
        ],
        **({"resources": {"limits": {"memory": limit}}} if limit else {}),
    }


class Pod:
    """A pod of class bede; a context manager that deletes it, and waits until it is gone."""

    def __init__(self, name, annotations, *containers, init=()):
        self.name = name
        self.uid = ""
        self.gate = WORK / name
        shutil.rmtree(self.gate, ignore_errors=True)
        self.gate.mkdir(parents=True)
        self.spec = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {
                "runtimeClassName": "bede",
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "initContainers": list(init),
                "containers": list(containers),
                "volumes": [
                    {"name": "programs", "hostPath": {"path": PROGRAMS}},
                    {"name": "gate", "hostPath": {"path": str(self.gate)}},
                ],
            },
        }

    def __enter__(self):
        made = kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(self.spec))
        self.uid = json.loads(made)["metadata"]["uid"]
        return self

    def __exit__(self, *exc):
        now = (
            "--ignore-not-found",
            "--grace-period=0",
            "--force",
            "--wait=true",
        )  # somebody may have evicted it
        kubectl("delete", "pod", self.name, *now)
        wait_until(f"no cgroup of {self.name} is left", lambda: not self._slices(), DEADLINE)

    def full(self, *names):
        """Wait until the containers with these *names* hold their memory. Returns self."""
        for name in names:
            wait_until(f"{name} of {self.name} is full", lambda name=name: self._is_full(name), DEADLINE)
        return self

    def _is_full(self, name):
        if (self.gate / name / "full").exists():
            return True
        phase = got("pod", self.name)["status"]["phase"]
        assert phase in ("Pending", "Running"), kubectl("describe", "pod", self.name)
        return False

    def stop(self, name):
        """Let one of its containers end by itself."""
        (self.gate / name / "stop").touch()

    def status(self, name):
        """The status of one of its containers; empty until the kubelet has told it."""
        status = got("pod", self.name)["status"]
        every = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        return next((one for one in every if one["name"] == name), {})

    def cgroup(self, name):
        """The directory of a container's cgroup."""
        told = wait_until(f"{name} has an id", lambda: self.status(name).get("containerID"), DEADLINE)
        id = told.rpartition("/")[2]
        (found,) = CGROUPS.glob(f"kubepods.slice/**/cri-containerd-{id}.scope")
        return found

    def refused(self, name):
        """Wait until the kubelet tells why a container did not start. Returns that text."""

        def told():
            ended = self.status(name).get("state", {}).get("terminated", {})
            return ended.get("message") if ended.get("reason") == "StartError" else None

        return wait_until(f"{name} of {self.name} is refused", told, DEADLINE)

    def _slices(self):
        return list(CGROUPS.glob(f"kubepods.slice/**/*-pod{self.uid.replace('-', '_')}.slice"))
