#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what bede-controller and bede-webhook cost a large cluster, and what they cost the scheduler.

Usage: bench/cluster.py [--nodes 5000] [--pods 20000] [--seconds 300]

A real API server with etcd, scheduler and controllers on this host, and nodes that it alone has:
`bede-nodes`, a mock of kubelets and of bede-node. Every fifth pod requests local memory. Kubelets renew their
leases every 100 seconds instead of 10, since otherwise these alone would take what two processors have.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import re
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/plane")]

from bede_plane import FAKE, Json, System, pod  # noqa: E402

from ocihook.cluster import clock, words  # noqa: E402
from ocihook.cluster.api import RefusedError, connect  # noqa: E402
from vmlab.cluster import plane  # noqa: E402
from vmlab.progress import Progress  # noqa: E402

EACH = 64 << 30
LEASE = 100
MORE = {
    # Nodes are not watched here, but asked for at the end; and a lease is seen every 100 seconds.
    "kube-controller-manager": [
        "--node-monitor-grace-period=1000s",
        "--kube-api-qps=500",
        "--kube-api-burst=500",
    ],
    "kube-scheduler": ["--kube-api-qps=5000", "--kube-api-burst=5000"],
    "kube-apiserver": ["--max-requests-inflight=4000", "--max-mutating-requests-inflight=2000"],
}
#: The scheduler's own limits of requests. Without them, on two processors, it waits for the API server alone.
STOCK = ("--kube-api-qps=50", "--kube-api-burst=100")
NAMESPACES = 20
LOCAL = 5  # every so many pods requests local memory
PAUSE = 2.0  # seconds
SETTLED = 30.0  # seconds
TRIAL = 2000  # pods for the scheduler's throughput
LONG = 3600.0
COUNT = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
CHANGES = ("PATCH", "POST", "PUT", "DELETE")
#: What bede-node (here the mock) and bede-controller write; leases and nodes are written by others as well.
WRITTEN = (
    "nodelocalmemories",
    "nodelocalmemories/status",
    "nodes",
    "nodes/status",
    "localmemoryprofiles/status",
    "events",
)
CLIENTS = 8


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=20000)
    parser.add_argument("--seconds", type=float, default=300.0, help="of the steady state")
    args = parser.parse_args()
    programs = plane.ensure(Progress())
    with (
        tempfile.TemporaryDirectory() as directory,
        plane.Plane(programs, Path(directory) / "plane", MORE) as made,
    ):
        own = Path(directory) / "bede"
        own.mkdir()
        system = System(made, own)
        try:
            measure(system, args.nodes, args.pods, args.seconds)
        finally:
            system.close()
    return 0


def measure(system: System, nodes: int, pods: int, seconds: float) -> None:
    """Build the cluster, and print what is measured at each step."""
    system.install()
    # What would be on other hosts has the processors when the control plane leaves them, but for the webhook,
    # which that waits for.
    system.before = ("nice", "-n", "19")
    began = time.monotonic()
    system.start_nodes(nodes, f"local={EACH}", f"lease={LEASE}")
    wait("the nodes are there", lambda: counted(system, "/api/v1/nodes") == nodes)
    say(f"{nodes} nodes are there", began)
    rates = {"without Bede": throughput(system, "without", 0)}
    with system.plane.other("kube-scheduler", *STOCK):
        stock = {"without Bede": throughput(system, "stock-without", 0)}
    system.before, before = (), system.before
    system.start_webhook()
    system.before = before
    system.start_controller()
    began = time.monotonic()
    wait("the nodes offer local memory", lambda: offered(system) == nodes * EACH)
    say("all of them offer local memory", began)
    wait("the webhook answers", system.answers)
    for what, every in (("no", 0), (f"one in {LOCAL}", LOCAL), ("each", 1)):
        rates[f"{what} pod asks for local memory"] = throughput(system, f"with-{every}", every)
    with system.plane.other("kube-scheduler", *STOCK):
        for what, every in ((f"one in {LOCAL}", LOCAL), ("each", 1)):
            stock[f"{what} pod asks for local memory"] = throughput(system, f"stock-{every}", every)
    for scheduler, found in (("as fast as it can", rates), ("as it comes", stock)):
        for what, rate in found.items():
            share = rate / found["without Bede"]
            print(f"scheduler, {scheduler}: {what}: {rate:.1f} pods a second, {share:.1%}", flush=True)
    began = time.monotonic()
    create(system, "many", pods, LOCAL)
    bound = len(listed(system, f"many,{words.BOUND}"))
    print(f"{pods // LOCAL - bound} pods were made without admission: it took too long", flush=True)
    wait("they have bounds", lambda: figure(system, "bede_cluster_bound_pods") == bound)
    say(f"{pods} pods run, {bound} of them with a bound", began)
    steady(system, seconds)
    resync(system, bound)


def wait(what: str, reached: Callable[[], Any], seconds: float = LONG) -> Any:
    """Return what *reached* returns, once that is true. It looks seldom: that takes processors as well."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not after {seconds:.0f} s")
        time.sleep(PAUSE)
    return found


def say(what: str, began: float) -> None:
    print(f"{what}, after {time.monotonic() - began:.0f} s", flush=True)


def counted(system: System, path: str) -> int:
    page = system.api.get(path, {"limit": 1})
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


def offered(system: System) -> float:
    return sum(
        int(node["status"].get("capacity", {}).get(words.RESOURCE, 0))
        for page in system.api.pages("/api/v1/nodes", {"labelSelector": FAKE})
        for node in page["items"]
    )


def namespaces(system: System) -> list[str]:
    found = [f"scale-{number}" for number in range(NAMESPACES)]
    for name in found:
        with contextlib.suppress(RefusedError):  # it is there already
            system.api.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    # No pod is made in a namespace before its account has a token.
    def ready(name: str) -> bool:
        accounts = system.items(f"/api/v1/namespaces/{name}/serviceaccounts")
        return any(one.get("secrets") for one in accounts)

    wait("namespaces have accounts", lambda: all(ready(name) for name in found))
    return found


def create(system: System, prefix: str, count: int, every: int) -> None:
    """Make *count* pods by several clients, in all namespaces. One of *every* asks for local memory."""
    names = namespaces(system)

    def some(first: int) -> None:
        api = connect(str(system.plane.kubeconfig))
        for number in range(first, count, CLIENTS):
            wants = {words.RESOURCE: "64Mi"} if every and number % every == 0 else {"cpu": "1m"}
            path = f"/api/v1/namespaces/{names[number % NAMESPACES]}/pods"
            api.send("POST", path, pod(f"{prefix}-{number}", prefix, **wants))

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(some, range(CLIENTS)))


def listed(system: System, app: str) -> list[Json]:
    """All pods of that app."""
    asked = {"labelSelector": f"app={app}"}
    return [one for page in system.api.pages("/api/v1/pods", asked) for one in page["items"]]


def throughput(system: System, app: str, every: int) -> float:
    """Return how many waiting pods a second the scheduler gives to nodes."""
    system.plane.stop("kube-scheduler")
    create(system, app, TRIAL, every)
    system.plane.start("kube-scheduler")

    def placed() -> list[float]:
        pods = listed(system, app)
        times = [scheduled(one) for one in pods]
        return [at for at in times if at] if all(times) else []

    times = wait("all are placed", placed)
    for one in listed(system, app):
        meta = one["metadata"]
        system.api.send(
            "DELETE", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", {"gracePeriodSeconds": 0}
        )
    wait("they are gone", lambda: not listed(system, app))
    return len(times) / (max(times) - min(times) + 1)  # the API server tells whole seconds


def scheduled(one: Json) -> float:
    """When a pod was given to a node; 0 if it was not."""
    for condition in one["status"].get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "True":
            return clock.seconds(condition["lastTransitionTime"])
    return 0.0


def figure(system: System, name: str) -> float:
    """One of the controller's metrics; -1 while there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{system.metrics}/metrics", timeout=30) as answer:
            text = answer.read().decode()
    except OSError:
        return -1
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else -1


def changes(system: System) -> dict[str, float]:
    """How many changes the API server has been asked for, by what Bede writes."""
    found: dict[str, float] = {}
    for line in COUNT.finditer(system.plane.text("/metrics")):
        labels = dict(LABEL.findall(line[1]))
        name = f"{labels['resource']}/{labels['subresource']}".rstrip("/")
        if labels["verb"] in CHANGES and name in WRITTEN:
            found[name] = found.get(name, 0) + float(line[2])
    return found


def usage(process: int) -> tuple[float, float]:
    """The processor seconds of a process so far, and its memory in MiB."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    ticks = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / ticks, pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def settled(system: System) -> bool:
    """Whether no event has come for a while. The controller writes those of many pods one after another."""
    before = changes(system).get("events", 0)
    time.sleep(SETTLED)
    return changes(system).get("events", 0) == before


def steady(system: System, seconds: float) -> None:
    """Print what the programs and the API server do while nothing happens but reports."""
    wait("what has just been made is told", lambda: settled(system))
    watched = {
        "bede-controller": system.running["bede-controller-0"].pid,
        "bede-webhook": system.running["bede-webhook-0"].pid,
        "kube-apiserver": system.plane.process("kube-apiserver"),
    }
    before, began = changes(system), time.monotonic()
    used = {name: usage(process)[0] for name, process in watched.items()}
    time.sleep(seconds)
    took = time.monotonic() - began
    for name, process in watched.items():
        after, size = usage(process)
        print(f"steady: {name}: {(after - used[name]) / took:.3f} of a processor, {size:.0f} MiB", flush=True)
    rates = {name: (count - before.get(name, 0)) / took for name, count in changes(system).items()}
    told = ", ".join(f"{name} {rate:.2f}" for name, rate in sorted(rates.items()) if rate)
    print(f"steady: {sum(rates.values()):.1f} changes a second: {told}", flush=True)


def resync(system: System, bound: int) -> None:
    """Print how long a new controller takes until it knows all and has nothing left to do."""
    system.stop("bede-controller-0", signal.SIGTERM)
    wait("the lease is free", lambda: not system.leader(), 60)
    began = time.monotonic()
    system.start_controller()
    process = system.running["bede-controller-0"].pid
    wait("it acts", lambda: "acts" in system.log("bede-controller-0").splitlines()[-1])
    wait("all is looked at", lambda: figure(system, "bede_controller_queue") == 0)
    assert figure(system, "bede_cluster_bound_pods") == bound
    spent, size = usage(process)
    say(f"resync: a new controller knows all ({spent:.1f} s of a processor, {size:.0f} MiB)", began)


if __name__ == "__main__":
    sys.exit(main())
