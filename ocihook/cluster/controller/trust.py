# SPDX-License-Identifier: Apache-2.0
"""Tells the API server by which authority the webhook's certificate is signed, whenever that changes."""

from __future__ import annotations

import threading
import time

from ocihook.cluster import fields
from ocihook.cluster.api import PATCH, Api, Json
from ocihook.cluster.watching import tell
from ocihook.errors import ClusterError

#: Both the Secret and what uses it are read this often, in seconds: a new authority works within this.
LOOK = 30.0
SECRET = "bede-webhook"  #: the name of the Secret
CONFIGURATIONS = tuple(
    f"/apis/admissionregistration.k8s.io/v1/{kind}/bede"
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
)


def patch(configuration: Json, authority: str) -> list[Json]:
    """Return what gives all webhooks of a *configuration* this *authority*; nothing if they have it."""
    wrong = [
        at
        for at, one in enumerate(fields.objects(configuration, "webhooks"))
        if fields.text(one, "clientConfig", "caBundle") != authority
    ]
    if not wrong:
        return []
    version = fields.text(configuration, "metadata", "resourceVersion")
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        *({"op": "add", "path": f"/webhooks/{at}/clientConfig/caBundle", "value": authority} for at in wrong),
    ]


class Trust:
    """The Secret, and the webhook configurations that need its authority."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._secret = f"/api/v1/namespaces/{namespace}/secrets/{SECRET}"

    def start(self) -> None:
        """Keep the configurations right, in a thread of its own."""
        threading.Thread(target=self._run, name="trust", daemon=True).start()

    def look(self) -> None:
        """Give the configurations the Secret's authority. Raises ClusterError."""
        authority = fields.text(self._api.get(self._secret), "data", "ca.crt")
        if not authority:
            raise ClusterError(f"Secret {SECRET} has no ca.crt, so pods are not completed")
        for path in CONFIGURATIONS:
            change = patch(self._api.get(path), authority)
            if change:
                self._api.send("PATCH", path, change, PATCH)
                tell("bede-controller", f"{path}: has the authority of the Secret {SECRET}")

    def _run(self) -> None:
        told = ""
        while True:
            try:
                self.look()
                told = ""
            except ClusterError as error:
                if error.message != told:
                    tell("bede-controller", error.message)
                told = error.message
            time.sleep(LOOK)
