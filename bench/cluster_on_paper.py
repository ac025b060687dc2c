#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the controller with as many pods as no API server of one host could hold.

Usage: bench/cluster_on_paper.py [--nodes 5000] [--pods 150000]

The controller is the real one. What it reads is made as it reads it: lists of nodes, of their local memory
and of pods that all have a bound, in pages as the API server sends them, each as large as there. So the
figures have the controller's own work, and none of the API server's or of the network's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ocihook.cluster import words
from ocihook.cluster.api import PAGE, Api, Event
from ocihook.cluster.controller.main import Controller
from ocihook.cluster.fields import Json

EACH = 64 << 30
BOUND = 64 << 20
MANAGED = "x" * 2000  # what the API server says of an object's fields, which nobody here reads


class Paper(Api):
    """Lists that are made when they are read, and never change."""

    def __init__(self, nodes: int, pods: int) -> None:
        self._nodes, self._pods = nodes, pods
        self.sent: dict[str, int] = {}
        self.making = 0.0  #: processor seconds that the lists took to be made, which are not the controller's
        self.before_change = lambda: None

    def pages(self, path: str, query: Mapping[str, object]) -> Iterator[Json]:
        """Yield the pages of a list."""
        kinds = {
            "/api/v1/nodes": (self._node, self._nodes),
            words.NODES: (self._local, self._nodes),
            "/api/v1/pods": (self._pod, self._pods),
        }
        make, count = kinds.get(path, (self._pod, 0))
        meta = {"resourceVersion": "1"}
        for first in range(0, max(count, 1), PAGE):
            began = time.thread_time()
            made = [make(number) for number in range(first, min(first + PAGE, count))]
            page = json.dumps({"metadata": meta, "items": made}).encode()
            self.making += time.thread_time() - began
            yield json.loads(page)

    def watch(self, path: str, version: str, query: Mapping[str, object]) -> Iterator[Event]:
        """Wait: nothing happens."""
        threading.Event().wait()
        yield from ()

    def send(self, method: str, path: str, body: object, kind: str = "") -> Json:
        """Count what is sent."""
        what = "events" if path.endswith("/events") else "others"
        self.sent[what] = self.sent.get(what, 0) + 1
        return {}

    def _node(self, number: int) -> Json:
        amounts = {words.RESOURCE: str(EACH), "cpu": "64", "memory": "512Gi", "pods": "250"}
        meta = {"name": f"node-{number}", "uid": f"node-uid-{number}", "managedFields": MANAGED}
        return {"metadata": meta, "spec": {}, "status": {"capacity": amounts, "allocatable": amounts}}

    def _local(self, number: int) -> Json:
        held = [
            {
                "podUID": f"b4b17e8f-93b1-4f04-bfdf-{pod:012}",
                "container": "web",
                "namespace": f"ns-{pod % 100}",
                "pod": f"pod-{pod}",
                "bound": BOUND,
                "local": BOUND - pod,
                "far": BOUND + pod,
                "hitsLocal": 900 + pod % 100,
                "hitsBest": 950,
            }
            for pod in range(number, self._pods, self._nodes)
        ]
        bounds = [
            {"podUID": one["podUID"], "container": "web", "bytes": BOUND, "request": BOUND, "budget": 10}
            for one in held
        ]
        owner = {"apiVersion": "v1", "kind": "Node", "name": f"node-{number}", "uid": f"node-uid-{number}"}
        meta = {"name": f"node-{number}", "uid": f"u{number}", "ownerReferences": [owner]}
        ready = {"type": "Ready", "status": "True", "reason": "HoldsBounds"}
        status = {"total": EACH, "reserved": 0, "containers": held, "conditions": [ready]}
        return {"metadata": meta, "spec": {"bounds": bounds}, "status": status}

    def _pod(self, number: int) -> Json:
        amounts = {words.RESOURCE: "64Mi", "cpu": "1"}
        web = {"name": "web", "image": "x", "resources": {"limits": amounts, "requests": amounts}}
        meta = {
            "name": f"pod-{number}",
            "namespace": f"ns-{number % 100}",
            "uid": f"b4b17e8f-93b1-4f04-bfdf-{number:012}",
            "labels": {"app": f"app-{number % 1000}", words.BOUND: "true"},
            "annotations": {"bede.local/web": "64Mi"},
            "creationTimestamp": "2026-11-30T09:15:00Z",
            "managedFields": MANAGED,
        }
        spec = {"containers": [web], "nodeName": f"node-{number % self._nodes}"}
        return {"metadata": meta, "spec": spec, "status": {"phase": "Running"}}


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=150_000)
    args = parser.parse_args()
    paper = Paper(args.nodes, args.pods)
    controller = Controller(paper)
    controller.start()
    say("all has been read", paper.making)
    threading.Thread(target=controller.run, daemon=True).start()
    while not controller.known().acts or len(controller.work):
        time.sleep(0.1)
    say("each node has been looked at", paper.making)
    known = controller.known()
    print(f"{len(known.nodes)} nodes, {len(known.pods)} pods, {known.errors} errors, sent {paper.sent}")
    busy = time.process_time()
    for number in range(1000):
        controller.look(f"node-{number % args.nodes}")
    print(f"a look at a node takes {time.process_time() - busy:.2f} ms", flush=True)
    return 0


def say(what: str, making: float) -> None:
    took, page = time.process_time() - making, os.sysconf("SC_PAGE_SIZE")
    now = int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{what} after {took:.1f} s of a processor; {now:.0f} MiB, at most {most:.0f} so far", flush=True)


if __name__ == "__main__":
    sys.exit(main())
