# SPDX-License-Identifier: Apache-2.0
"""Pods that request local memory, as users write them, and what became of their bounds."""

import json
import subprocess

import bede_system
from bede_system import RESOURCE
from helpers import MIB, sample, slack
from pods import Pod, steady


def asking(name, megabytes, request, **more):
    """A container that holds *megabytes* and requests local memory."""
    made = steady(name, megabytes)
    made["resources"] = {"limits": {RESOURCE: request}}
    return {**made, **more}


def borrowing(name, megabytes, lent):
    """A container that holds *megabytes* and requests memory that others lend."""
    made = steady(name, megabytes)
    made["resources"] = {"limits": {bede_system.LENT: lent}}
    return made


def pod(name, *containers, **more):
    """A pod as a user writes it: without a class and without annotations."""
    made = Pod(name, {}, *containers, **more)
    del made.spec["spec"]["runtimeClassName"], made.spec["metadata"]["annotations"]
    return made


def labelled(made, app):
    """Give a pod the label by which a profile selects it. Returns the pod."""
    made.spec["metadata"]["labels"] = {"app": app}
    return made


def create(spec):
    """What `kubectl create` says."""
    words = ["kubectl", "create", "-f", "-"]
    return subprocess.run(words, input=json.dumps(spec), capture_output=True, text=True, check=False)


def create_dry(spec):
    """The annotations that admission would give to a pod."""
    words = ["kubectl", "create", "--dry-run=server", "-o", "json", "-f", "-"]
    done = subprocess.run(words, input=json.dumps(spec), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["metadata"].get("annotations", {})


def held(of, name, bound):
    """Check by the kernel that a container holds at most *bound* MiB of local memory, and uses them."""
    local, _ = sample(of.cgroup(name))
    assert bound * MIB // 2 <= local <= bound * MIB + slack(bound * MIB)


def told(of):
    """{container: bound in MiB} of a pod, as its node reports it."""
    return {
        one["container"]: one["bound"] / MIB
        for one in bede_system.local().get("containers", [])
        if one["podUID"] == of.uid
    }
