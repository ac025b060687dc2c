# SPDX-License-Identifier: Apache-2.0
"""One of several controllers acts at a time: the one that holds a Lease (``coordination.k8s.io/v1``).

As client-go's leaderelection does it: clocks of two hosts are never compared, only whether the lease has
changed while this one's own clock went on.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ocihook.cluster import clock, fields
from ocihook.cluster.api import CONFLICT, NOT_FOUND, Api, RefusedError
from ocihook.cluster.fields import Json
from ocihook.errors import ClusterError

LASTS = (
    15.0  #: seconds after which a lease that nobody renews is free, as Kubernetes' own controllers have it
)
RENEWED = 2.0  #: seconds between two renewals, so that even slow ones, or some that fail, are in time
GIVEN_UP = 10.0  #: seconds without a renewal after which the holder stops, before others can begin
RETRIED = 2.0  #: seconds between two attempts to get it


@dataclass(frozen=True)
class Where:
    """Which lease, and who wants it."""

    namespace: str
    name: str
    holder: str

    @property
    def list(self) -> str:
        """The path of the leases of its namespace."""
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"


class Lease:
    """A lease that this program wants, or holds."""

    def __init__(self, api: Api, where: Where, now: Callable[[], float] = time.monotonic) -> None:
        self._api, self._where, self._now = api, where, now
        self._mine: Json | None = None  # as it was written here last; None if somebody else may have since
        self._seen: tuple[str, float] = ("", 0.0)  # the lease's version, and since when it has it
        self._renewed = -math.inf
        self._over = threading.Event()  # it is somebody else's, or given back
        self._given_back = False

    def attempt(self) -> bool:
        """Take the lease if it is free, or renew it. Return whether it is held now. Raises ClusterError."""
        if self._over.is_set():
            return False
        if self._mine is not None and self._write("PUT", self._path, self._lease(self._mine)):
            return True
        try:
            found = self._api.get(self._path)
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
            return self._write("POST", self._where.list, self._lease({}))
        version = fields.text(found, "metadata", "resourceVersion")
        if version != self._seen[0]:
            self._seen = (version, self._now())
        holder = fields.text(found, "spec", "holderIdentity")
        if holder not in ("", self._where.holder) and self._now() - self._seen[1] < LASTS:
            return False
        return self._write("PUT", self._path, self._lease(found))

    @property
    def _path(self) -> str:
        return f"{self._where.list}/{self._where.name}"

    def holds(self) -> bool:
        """Return whether nobody else can hold it now."""
        return self._now() - self._renewed < GIVEN_UP

    def wait(self, failed: Callable[[ClusterError], None]) -> None:
        """Return once the lease is held; *failed* is told of errors meanwhile."""
        while True:
            try:
                if self.attempt():
                    return
            except ClusterError as error:
                failed(error)
            time.sleep(RETRIED)

    def keep(self, lost: Callable[[], None]) -> None:
        """Renew the lease in a thread of its own. Call *lost* once, if that fails for too long.

        Another thread looks at the clock: a request may hang for longer than the lease lasts.
        """

        def renew() -> None:
            while not self._over.is_set():
                time.sleep(RENEWED if self._now() - self._renewed < RENEWED else RETRIED)
                try:
                    if not self.attempt():
                        self._over.set()
                except ClusterError:
                    continue

        def watch() -> None:
            while self.holds() and not self._over.wait(GIVEN_UP / 20):
                continue
            self._over.set()
            if not self._given_back:
                lost()

        for target in (renew, watch):
            threading.Thread(target=target, name=f"lease {target.__name__}", daemon=True).start()

    def release(self) -> None:
        """Give the lease back, so that nobody has to wait until it is over. Raises ClusterError."""
        if not self.holds():
            return
        self._given_back = True
        self._over.set()
        found = self._api.get(self._path)
        if fields.text(found, "spec", "holderIdentity") == self._where.holder:
            self._api.send("PUT", self._path, {**found, "spec": {**found["spec"], "holderIdentity": ""}})

    def _write(self, method: str, path: str, body: Json) -> bool:
        began = self._now()
        self._mine, written = None, None
        try:
            written = self._api.send(method, path, body)
        except RefusedError as error:
            if error.status in (CONFLICT, NOT_FOUND):
                return False  # another one was faster
            raise
        self._mine, self._renewed = written, began
        return True

    def _lease(self, before: Json) -> Json:
        mine = fields.text(before, "spec", "holderIdentity") == self._where.holder
        now = clock.micro(time.time())
        spec = {
            "holderIdentity": self._where.holder,
            "leaseDurationSeconds": int(LASTS),
            "acquireTime": fields.text(before, "spec", "acquireTime") if mine else now,
            "renewTime": now,
            "leaseTransitions": fields.size(before, "spec", "leaseTransitions") + (not mine),
        }
        meta = fields.mapping(before, "metadata") or {"name": self._where.name}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
