# SPDX-License-Identifier: Apache-2.0
"""The control plane alone, on this host: API server, scheduler and controllers, of the build of `build.py`.

Everything listens on loopback and is kept in one directory. Its nodes exist in the API server alone. What a
kubelet and a kernel do is tested in the machine; here things are as fast as the host.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ocihook.errors import MachineError
from vmlab import bootstrap, cache, cluster
from vmlab.cluster import build
from vmlab.progress import Progress

TOKENS = cluster.GUEST / "etc/kubernetes/tokens.csv"  #: as the machine has them; bede-nodes knows that one
TOKEN = TOKENS.read_text().partition(",")[0]  #: of the administrator
SECONDS = 120.0  #: to wait for a part to be ready
SERVICE = "10.0.0.0/24"


def ensure(progress: Progress) -> Path:
    """Return the directory with the programs, in ``bin/``, and keys. Raises MachineError."""
    disk = build.ensure(progress) / build.DISK
    name = f"plane-{disk.parent.name.rpartition('-')[2]}"
    return cache.built(name, lambda out: _unpack(disk, out))


def _unpack(disk: Path, out: Path) -> None:
    done = subprocess.run(
        ["debugfs", "-R", f"rdump / {out}", str(disk)],
        capture_output=True,
        text=True,
        env=bootstrap.environment(),
        check=False,
    )
    if not (out / "bin/kube-apiserver").is_file():
        last = "".join(done.stderr.strip().splitlines()[-1:])
        raise MachineError(f"cannot unpack the cluster's programs: {last}", "Is e2fsprogs installed?")
    (out / "bin/kubelet").unlink()  # it would bring up no node here


class Plane:
    """A control plane, as a context manager. Its parts can be ended and started again meanwhile."""

    def __init__(self, programs: Path, directory: Path, more: dict[str, Sequence[str]] | None = None) -> None:
        """Prepare one that keeps everything in *directory*; *more* are further arguments, by part."""
        self._programs, self._directory = programs, directory
        self._store, self._peers, self.port = free_ports(3)
        self.kubeconfig = directory / "admin.conf"  #: the administrator's
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._words = self._commands()
        for part, words in (more or {}).items():
            self._words[part] += words

    @property
    def address(self) -> str:
        """The API server's, as ``HOST:PORT``."""
        return f"127.0.0.1:{self.port}"

    @property
    def authority(self) -> Path:
        """The certificate of the cluster's authority."""
        return self._programs / "ca.crt"

    def __enter__(self) -> Plane:
        self._directory.mkdir(exist_ok=True)
        self.kubeconfig.write_text(self.config(f"{{token: {TOKEN}}}"))
        try:
            self.start("etcd", "kube-apiserver")
            self.wait("the API server", self.is_ready)
            self.start("kube-controller-manager", "kube-scheduler")
        except BaseException:
            self.stop(*self._running)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(*reversed(self._running))

    def config(self, user: str) -> str:
        """Return a kubeconfig for a *user*, given as its ``user`` has it, in YAML."""
        return (
            "apiVersion: v1\nkind: Config\nclusters:\n"
            f"  - {{name: box, cluster: {{server: 'https://{self.address}', "
            f"certificate-authority: {self._programs}/ca.crt}}}}\n"
            f"users:\n  - {{name: user, user: {user}}}\n"
            "contexts:\n  - {name: box, context: {cluster: box, user: user}}\ncurrent-context: box\n"
        )

    def start(self, *parts: str) -> None:
        """Start these parts."""
        for part in parts:
            log = (self._directory / f"{part}.log").open("ab")
            with log:
                self._running[part] = subprocess.Popen(
                    # They end with this process, however it ends.
                    [
                        "setpriv",
                        "--pdeathsig",
                        "KILL",
                        "--",
                        str(self._programs / "bin" / part),
                        *self._words[part],
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._directory,
                )

    def stop(self, *parts: str, by: signal.Signals = signal.SIGKILL) -> None:
        """End these parts, and wait until they have ended."""
        for part in parts:
            self._running[part].send_signal(by)
            self._running[part].wait()

    def process(self, part: str) -> int:
        """Return the number of a part's process."""
        return self._running[part].pid

    def kubectl(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl."""
        return subprocess.run(
            [str(self._programs / "bin/kubectl"), f"--kubeconfig={self.kubeconfig}", *words],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, "HOME": str(self._directory)},
            check=False,
        )

    @contextlib.contextmanager
    def other(self, part: str, *words: str) -> Iterator[None]:
        """Run a part with these further arguments instead; as before after the block."""
        before = self._words[part]
        self.stop(part)
        self._words[part] = [*before, *words]
        try:
            self.start(part)
            yield
        finally:
            self._words[part] = before
            self.stop(part)
            self.start(part)

    def compact(self) -> None:
        """Have the store forget all that is not so any more."""
        store = f"http://127.0.0.1:{self._store}/v3/kv"
        every = json.dumps({"key": "AA==", "range_end": "AA==", "limit": 1}).encode()
        with urllib.request.urlopen(f"{store}/range", every) as answer:
            revision = json.load(answer)["header"]["revision"]
        with urllib.request.urlopen(f"{store}/compaction", json.dumps({"revision": revision}).encode()):
            pass

    def wait(self, what: str, reached: Callable[[], Any], seconds: float = SECONDS) -> Any:
        """Return what *reached* returns, once that is true. Raises MachineError after *seconds*."""
        end = time.monotonic() + seconds
        while not (found := reached()):
            for part, process in self._running.items():
                if process.poll() is not None and process.returncode > 0:
                    raise MachineError(f"{part} has ended: {self.log(part)}")
            if time.monotonic() > end:
                raise MachineError(f"{what}: not after {seconds:.0f} s")
            time.sleep(0.05)
        return found

    def is_ready(self) -> bool:
        """Return whether all parts of the API server are ready."""
        try:
            return self.text("/readyz") == "ok"
        except (OSError, http.client.HTTPException):
            return False

    def text(self, path: str) -> str:
        """Return what the API server has at *path*. Raises OSError, HTTPException."""
        trusting = ssl.create_default_context(cafile=str(self.authority))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=trusting)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
            return connection.getresponse().read().decode()

    def log(self, part: str) -> str:
        """Return the last lines that a part has written."""
        text = (self._directory / f"{part}.log").read_text(errors="replace")
        return " | ".join(text.strip().splitlines()[-5:])

    def certificate(self, subject: str, name: str, days: int = 30) -> tuple[Path, Path]:
        """Return a certificate of the cluster's authority and its key for a *subject* (``/CN=NAME``)."""
        key, request, cert = (self._directory / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
        made = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", subject]
        signed = ["openssl", "x509", "-req", "-days", str(days), "-in", str(request), "-out", str(cert)]
        authority = [f"-CA={self._programs}/ca.crt", f"-CAkey={self._programs}/ca.key", "-set_serial=7"]
        names = self._directory / "names"
        names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        for words in (
            [*made, "-keyout", str(key), "-out", str(request)],
            [*signed, *(part for word in authority for part in word.split("=", 1)), "-extfile", str(names)],
        ):
            subprocess.run(words, check=True, capture_output=True)
        return cert, key

    def _commands(self) -> dict[str, list[str]]:
        files, store = self._programs, f"http://127.0.0.1:{self._store}"
        client = [
            f"--kubeconfig={self.kubeconfig}",
            "--bind-address=127.0.0.1",
            "--port=0",
            "--secure-port=0",
            "--leader-elect=false",
            "--profiling=false",
        ]
        return {
            "etcd": [
                "--data-dir=etcd",
                f"--listen-client-urls={store}",
                f"--advertise-client-urls={store}",
                f"--listen-peer-urls=http://127.0.0.1:{self._peers}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{self._peers}",
                f"--initial-cluster=default=http://127.0.0.1:{self._peers}",
                "--logger=zap",
                "--log-level=warn",
                "--unsafe-no-fsync",
            ],
            "kube-apiserver": [
                f"--etcd-servers={store}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={self.port}",
                "--insecure-port=0",
                f"--tls-cert-file={files}/apiserver.crt",
                f"--tls-private-key-file={files}/apiserver.key",
                f"--client-ca-file={files}/ca.crt",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-signing-key-file={files}/sa.key",
                f"--service-account-key-file={files}/sa.key",
                f"--token-auth-file={TOKENS}",
                "--authorization-mode=Node,RBAC",
                "--endpoint-reconciler-type=none",
                f"--service-cluster-ip-range={SERVICE}",
                "--allow-privileged=true",
                "--profiling=false",
            ],
            "kube-controller-manager": [
                *client,
                f"--service-account-private-key-file={files}/sa.key",
                f"--root-ca-file={files}/ca.crt",
                f"--cluster-signing-cert-file={files}/ca.crt",
                f"--cluster-signing-key-file={files}/ca.key",
                "--controllers=*,-ttl,-cronjob,-horizontalpodautoscaling,-attachdetach,-persistentvolume-binder",
            ],
            "kube-scheduler": client,
        }


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
