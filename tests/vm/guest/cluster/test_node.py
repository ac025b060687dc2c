# SPDX-License-Identifier: Apache-2.0
"""What a node does with a pod's annotations: a real kubelet, containerd, and Bede's class."""

import json
import urllib.request

from helpers import IS_PATCHED, MIB, listed, records, run, sample, slack, wait_until
from pods import DEADLINE, Pod, got, kubectl, steady

URL = "http://127.0.0.1:9475/metrics"


def of(pod):
    """{container's name in the pod: what `bede ps --json` says of it}."""
    return {one["pod_container"]: one for one in listed().values() if one["pod"] == pod.name}


def held(pod, name, bound, size):
    """Check by the kernel that a container has its *size* MiB, and at most *bound* MiB of them local."""
    local, far = sample(pod.cgroup(name))
    assert local <= bound * MIB + slack(bound * MIB)
    assert local >= bound * MIB // 2
    assert local + far >= size * MIB


def test_a_share_of_the_limit_bounds_the_container_and_not_the_pause_container():
    with Pod("share", {"bede.local": "25%", "bede.dev/profile": "x"}, steady("web", 128, "256Mi")) as pod:
        pod.full("web")
        held(pod, "web", 64, 128)
        found = of(pod)
        assert [one["bound"] for one in found.values()] == [64 * MIB]
        assert found["web"]["name"] == "default/share/web"
        assert found["web"]["pod_uid"] == pod.uid
        assert len(listed()) == 1
        if not IS_PATCHED:
            assert [one["policy"] for one in records()] == [{"bede.local": "25%"}]
    wait_until("nothing is held any more", lambda: not listed() and not records())


def test_each_container_of_a_pod_has_its_own_bound():
    asked = {"bede.local/web": "64M", "bede.local/log": "16M", "bede.local/setup": "24M", "bede.dev/x": "1"}
    setup = steady("setup", 48)
    containers = (steady("web", 128), steady("log", 48), steady("free", 32))
    with Pod("mixed", asked, *containers, init=[setup]) as pod:
        pod.full("setup")
        held(pod, "setup", 24, 48)
        assert {name: one["bound"] for name, one in of(pod).items()} == {"setup": 24 * MIB}
        pod.stop("setup")
        pod.full("web", "log", "free")
        held(pod, "web", 64, 128)
        held(pod, "log", 16, 48)
        assert {name: one["bound"] for name, one in of(pod).items()} == {"web": 64 * MIB, "log": 16 * MIB}
        _, far = sample(pod.cgroup("free"))
        assert far < MIB
        changes(pod)
        survives(pod)
        measured(pod)


def changes(pod):
    """`bede set` takes the container's name, and the kernel has the new bound, or the annotation's again."""
    for size, bound in (("48M", 48), ("default", 64)):
        done = run("bede", "set", "default/mixed/web", size)
        assert done.returncode == 0, done.stderr
        assert of(pod)["web"]["bound"] == bound * MIB
    done = run("bede", "set", "default/mixed/web", "32M")
    assert done.returncode == 0, done.stderr
    assert "else when it is made anew. Change its pod's annotation, too" in done.stderr
    wait_until("web is at 32 MiB", lambda: sample(pod.cgroup("web"))[0] <= 32 * MIB + slack(32 * MIB))
    assert of(pod)["web"]["bound"] == 32 * MIB
    assert sample(pod.cgroup("log"))[0] >= 8 * MIB


def survives(pod):
    """A kubelet that starts again changes no bound."""
    before = got("node", "box")["status"]["conditions"]
    assert run("systemctl", "restart", "kubelet").returncode == 0

    def beats():
        now = got("node", "box")["status"]["conditions"]
        return [one["lastHeartbeatTime"] for one in now] != [one["lastHeartbeatTime"] for one in before]

    wait_until("the kubelet tells of itself again", beats, DEADLINE)
    held(pod, "web", 32, 128)
    held(pod, "log", 16, 48)
    assert {name: one["bound"] for name, one in of(pod).items()} == {"web": 32 * MIB, "log": 16 * MIB}
    assert got("pod", pod.name)["status"]["phase"] == "Running"


def measured(pod):
    """The metrics of a container can be joined with Kubernetes' own."""
    assert run("systemctl", "start", "bede-metrics").returncode == 0
    with urllib.request.urlopen(URL, timeout=DEADLINE) as answer:
        lines = answer.read().decode().splitlines()
    labels = 'name="default/mixed/web",namespace="default",pod="mixed",pod_container="web"'
    (bound,) = [line for line in lines if line.startswith("bede_container_bound_bytes{") and labels in line]
    assert float(bound.rpartition(" ")[2]) == 32 * MIB
    assert run("systemctl", "stop", "bede-metrics").returncode == 0


def test_a_mistake_stops_the_container_and_says_why():
    with Pod("wrong", {"bede.locl": "64M"}, steady("web", 16)) as pod:
        assert "annotation 'bede.locl' is not one of Bede's" in pod.refused("web")
        assert not listed()
    asked = {"bede.local/web": "lots", "bede.local/other": "64M"}
    with Pod("half", asked, steady("web", 16), steady("other", 128)) as pod:
        pod.full("other")
        held(pod, "other", 64, 128)
        assert "bede.local/web: 'lots'" in pod.refused("web")
        assert list(of(pod)) == ["other"]


def test_a_pod_without_an_annotation_is_left_alone():
    with Pod("plain", {"bede.dev/local-memory": "64M"}, steady("web", 64)) as pod:
        pod.full("web")
        assert sample(pod.cgroup("web"))[0] >= 63 * MIB
        assert not listed()
    assert json.loads(kubectl("get", "pods", "-o", "json"))["items"] == []
