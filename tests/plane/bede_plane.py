# SPDX-License-Identifier: Apache-2.0
"""Bede's programs on a real control plane, with the rights that `kubernetes/base` gives them, on fake nodes.

The nodes are a mock (`bede-nodes`), and the programs are processes of this host instead of pods.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import yaml

from ocihook.cluster import words
from ocihook.cluster.api import MERGE, NOT_FOUND, Api, RefusedError, connect
from vmlab.cluster.plane import Plane, free_ports

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/vm/guest/lib"))

import taught  # noqa: E402

NODES = ROOT / "vmlab/cluster/guest/usr/local/bin/bede-nodes"
FAKE = "bede.dev/fake"
DEADLINE = 60.0
NAMESPACE = words.NAMESPACE
PODS = "/api/v1/namespaces/default/pods"
#: What needs a kubelet, or is another way to the webhook.
LEFT_OUT = ("Deployment", "DaemonSet", "Service")

Json = dict[str, Any]
Found = TypeVar("Found")


def wait_until(what: str, reached: Callable[[], Found], seconds: float = DEADLINE) -> Found:
    """What *reached* returns, once that is true."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, f"{what}: not after {seconds:.0f} s"
        time.sleep(0.05)
    return found


class System:
    """The programs, each with a number after its name: ``bede-controller-0``."""

    def __init__(self, plane: Plane, directory: Path) -> None:
        self.plane, self.directory = plane, directory
        self.api: Api = connect(str(plane.kubeconfig))
        self.port, self.metrics, self.other = free_ports(3)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.before: tuple[str, ...] = ()  #: words before each command

    def install(self) -> None:
        """Apply `kubernetes/base`, but for what runs in pods."""
        wait_until("there are accounts", self._has_account)
        made = self.plane.kubectl("kustomize", str(ROOT / "kubernetes/base"))
        assert made.returncode == 0, made.stderr
        objects = [one for one in yaml.safe_load_all(made.stdout) if one["kind"] not in LEFT_OUT]
        for one in objects:
            for webhook in one.get("webhooks", []):
                path = webhook["clientConfig"].pop("service")["path"]
                webhook["clientConfig"]["url"] = f"https://127.0.0.1:{self.port}{path}"
        done = self.plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
        assert done.returncode == 0, done.stderr
        self.certify(self.plane.certificate("/CN=bede-webhook", "webhook"))

    def _has_account(self) -> bool:
        try:
            return bool(self.api.get("/api/v1/namespaces/default/serviceaccounts/default").get("secrets"))
        except RefusedError:
            return False

    def certify(self, pair: tuple[Path, Path]) -> None:
        """Give the webhook this certificate and key, as the kubelet would bring them from the Secret."""
        into = self.directory / "certificate"
        into.mkdir(exist_ok=True)
        for source, name in zip(pair, ("tls.crt", "tls.key"), strict=True):
            (into / f".{name}").write_bytes(source.read_bytes())
            (into / f".{name}").rename(into / name)
        files = [f"--from-file={into / name}" for name in ("tls.crt", "tls.key")]
        authority = f"--from-file=ca.crt={self.plane.authority}"
        secret = ["create", "secret", "generic", "bede-webhook", "-n", NAMESPACE, authority, *files]
        made = self.plane.kubectl(*secret, "--dry-run=client", "-o", "yaml")
        assert self.plane.kubectl("apply", "-f", "-", stdin=made.stdout).returncode == 0

    def config(self, account: str, pod: str = "") -> Path:
        """A kubeconfig with a token of one of Bede's accounts, which may be bound to a *pod*."""
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
        spec: Json = {"expirationSeconds": 36000}
        if pod:
            uid = self.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}")["metadata"]["uid"]
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": uid}
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        token = self.api.send("POST", path, kind)["status"]["token"]
        file = self.directory / f"{account}{pod}.conf"
        file.write_text(self.plane.config(f"{{token: {token}}}"))
        return file

    def start_controller(self, number: int = 0) -> None:
        """Start a controller. That with the number 0 serves metrics."""
        port = self.metrics if number == 0 else 0
        self._start("bede-controller", number, f"--metrics={port}")

    def start_webhook(self) -> None:
        """Start the webhook."""
        self._start(
            "bede-webhook", 0, f"--port={self.port}", f"--certificate={self.directory / 'certificate'}"
        )

    def _start(self, program: str, number: int, *words: str) -> None:
        config = self.directory / f"{program}.conf"
        if not config.exists():
            self.config(program)
        command = [sys.executable, str(ROOT / "bin" / program), f"--kubeconfig={config}", *words]
        self._spawn(f"{program}-{number}", command)

    def start_nodes(self, count: int, *words: str) -> None:
        """Add *count* fake nodes."""
        self._spawn("bede-nodes-0", [sys.executable, "-ISB", str(NODES), str(count), *words])

    def _spawn(self, name: str, command: list[str]) -> None:
        env = {**os.environ, "BEDE_CLUSTER_PORT": str(self.plane.port)}
        with (self.directory / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.before, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
            )

    def run(self, nodes: int, each: int, controllers: int = 1) -> None:
        """Start the programs, and so many fake nodes with *each* bytes; return once all of it is ready."""
        for number in range(controllers):
            self.start_controller(number)
        self.start_webhook()
        self.start_nodes(nodes, f"local={each}")
        wait_until("the nodes offer local memory", lambda: len(self.offering()) == nodes)
        wait_until("the webhook answers", self.answers)

    def stop(self, name: str, by: signal.Signals = signal.SIGTERM) -> None:
        """End one of the programs."""
        process = self.running.pop(name)
        process.send_signal(by)
        process.wait()

    def close(self) -> None:
        """End all of them."""
        for name in list(self.running):
            self.stop(name, signal.SIGKILL)

    def log(self, name: str) -> str:
        """What one of the programs has said."""
        file = self.directory / f"{name}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def logs(self) -> str:
        """The last that each has said."""
        return "\n".join(f"== {name}\n{self.log(name)[-3000:]}" for name in self.running)

    def items(self, path: str, **query: str) -> list[Json]:
        """The objects in a list."""
        found: list[Json] = self.api.get(f"{path}?{urlencode(query)}")["items"]
        return found

    def delete(self, path: str) -> None:
        """Delete an object at once, if nobody else has deleted it in the meantime."""
        try:
            self.api.send("DELETE", path, {"gracePeriodSeconds": 0})
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise

    def offering(self) -> list[Json]:
        """The fake nodes that offer local memory."""
        found = self.items("/api/v1/nodes", labelSelector=FAKE)
        return [one for one in found if amount(one["status"], words.RESOURCE)]

    def answers(self) -> bool:
        """Whether admission refuses a pod that it has to refuse."""
        try:
            self.api.send("POST", f"{PODS}?dryRun=All", pod("trial", **{words.RESOURCE: "1"}))
        except RefusedError as error:
            return "less than the least bound" in error.message
        return False

    def leader(self) -> str:
        """Who holds the controllers' lease; "" if nobody does."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/bede-controller"
        try:
            holder: str = self.api.get(path)["spec"].get("holderIdentity", "")
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
            return ""
        return holder

    def learned(self, name: str, container: str, megabytes: int) -> None:
        """Make a profile for the pods with the label app=NAME that has learned what *container* needs."""
        size = megabytes << 20
        path = f"/apis/{words.GROUP}/{words.VERSION}/namespaces/default/localmemoryprofiles"
        meta = {"name": name}
        spec = {"selector": {"matchLabels": {"app": name}}, "mode": "Live"}
        kind = {"apiVersion": f"{words.GROUP}/{words.VERSION}", "kind": "LocalMemoryProfile"}
        self.api.send("POST", path, {**kind, "metadata": meta, "spec": spec})
        status = {"containers": [taught.container(container, size, size, time.time())]}
        self.api.send("PATCH", f"{path}/{quote(name)}/status", {"status": status}, MERGE)

    def events(self, name: str, reason: str) -> list[str]:
        """The texts of a pod's events."""
        asked = f"involvedObject.name={name},reason={reason}"
        found = self.items("/api/v1/namespaces/default/events", fieldSelector=asked)
        return [one["message"] for one in found]


def pod(name: str, app: str = "plain", **resources: str) -> Json:
    """A pod for the fake nodes; *resources* are the limits of its container."""
    web = {"name": "web", "image": "x", "resources": {"limits": resources}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {
            "containers": [web],
            "tolerations": [{"key": FAKE, "operator": "Exists"}],
            "nodeSelector": {FAKE: "true"},
            "terminationGracePeriodSeconds": 0,
        },
    }


def amount(status: Json, resource: str) -> int:
    """The bytes of a resource that a node has."""
    return int(status.get("capacity", {}).get(resource, 0))


def written(text: str) -> int:
    """The bytes in a quantity as the tests write it."""
    return int(text[:-2]) << 20 if text.endswith("Mi") else int(text)


def requested(one: Json, resource: str) -> int:
    """The bytes of a resource that a pod requests."""
    return sum(
        written(container["resources"].get("requests", {}).get(resource, "0"))
        for container in one["spec"]["containers"]
    )
