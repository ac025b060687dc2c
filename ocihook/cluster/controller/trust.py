# SPDX-License-Identifier: Apache-2.0
"""Tells the API server which authority signs the webhook's certificate, and people where that fails."""

from __future__ import annotations

import base64
import threading
import time

from ocihook.cluster import fields
from ocihook.cluster.api import NOT_FOUND, PATCH, Api, RefusedError
from ocihook.cluster.controller import events
from ocihook.cluster.controller.reach import Reached, reach, webhook
from ocihook.cluster.fields import Json
from ocihook.cluster.watching import tell
from ocihook.errors import ClusterError

#: Both the Secret and what uses it are read this often, in seconds: a new authority works within this.
LOOK = 30.0
#: Seconds for which a former authority is trusted beside the new one: the kubelet brings a new certificate to
#: the webhook within one or two minutes, and until then it has the old one.
OVERLAP = 300.0
#: Seconds after which an event is sent again: API servers keep it for an hour, and it is not yet well.
AGAIN = 600.0
SECRET = "bede-webhook"  #: the name of the Secret
CONFIGURATIONS = tuple(
    f"/apis/admissionregistration.k8s.io/v1/{kind}/bede"
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
)

_KIND = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")


def bundles(configuration: Json) -> list[str]:
    """Return the authorities that a *configuration* has, in base64."""
    every = (
        fields.text(one, "clientConfig", "caBundle") for one in fields.objects(configuration, "webhooks")
    )
    return [one for one in every if one]


def _decoded(text: str) -> bytes:
    try:
        found = base64.b64decode(text)
    except ValueError:
        return b""
    return found if not found or found.endswith(b"\n") else found + b"\n"


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
        self.reached: Reached | None = None  #: whether the webhook can be asked; None while that is not known
        self._api = api
        self._secret = f"/api/v1/namespaces/{namespace}/secrets/{SECRET}"
        self._authority = self._former = b""  # in PEM
        self._until = 0.0
        self._again = 0.0  # when the event is sent again
        self._told = ""  # why the webhook is not reached, as people know it

    def start(self) -> None:
        """Keep the configurations right, in a thread of its own."""
        threading.Thread(target=self._run, name="trust", daemon=True).start()

    def look(self) -> None:
        """Give the configurations the Secret's authority. Raises ClusterError."""
        configurations = self._configurations()
        if not configurations:
            self.reached = None
            return  # admission is by the API server's own policies
        found = fields.text(self._api.get(self._secret), "data", "ca.crt")
        if not found:
            raise ClusterError(f"Secret {SECRET} has no ca.crt, so pods are not completed")
        present = [bundle for one in configurations.values() for bundle in bundles(one)]
        wanted = base64.b64encode(self._bundle(_decoded(found), _decoded(present[0] if present else "")))
        for path, configuration in configurations.items():
            change = patch(configuration, wanted.decode())
            if change:
                configurations[path] = self._api.send("PATCH", path, change, PATCH)
                tell(events.SOURCE, f"{path}: has the authority of the Secret {SECRET}")

        self._reach(configurations.get(CONFIGURATIONS[0], {}))

    def _configurations(self) -> dict[str, Json]:
        """Return those that there are, by their paths. Raises ClusterError."""
        found = {}
        for path in CONFIGURATIONS:
            try:
                found[path] = self._api.get(path)
            except RefusedError as error:
                if error.status != NOT_FOUND:
                    raise
        return found

    def _reach(self, configuration: Json) -> None:
        """Look whether the webhook answers, and tell if that has changed. Raises ClusterError."""
        asked = webhook(configuration)
        if asked is None:
            self.reached = None
            return
        before, self.reached = self.reached, reach(asked, time.time())
        why = self.reached.why
        # Once is no news: a webhook that has just been installed needs a moment.
        if why and (before is None or before.why != why):
            return
        now = time.monotonic()
        if why and (why != self._told or now >= self._again):
            name, uid = (fields.text(configuration, "metadata", part) for part in ("name", "uid"))
            about = events.About(*_KIND, "", name, uid)
            events.send(self._api, events.event(about, events.UNREACHED, why, time.time()))
            self._again = now + AGAIN
        if why != self._told:
            self._told = why
            tell(events.SOURCE, why or "the webhook answers")

    def _bundle(self, authority: bytes, present: bytes) -> bytes:
        """Return what to trust: *authority*, and for a while the one before it; *present* is trusted now."""
        now = time.monotonic()
        if authority != self._authority:
            # A controller that has just begun knows the former one by what is trusted. It may have come while
            # both were.
            former = (self._authority or present).replace(authority, b"")
            if former:
                self._former, self._until = former, now + OVERLAP
            self._authority = authority
        return authority + (self._former if now < self._until else b"")

    def _run(self) -> None:
        told = ""
        while True:
            try:
                self.look()
                told = ""
            except ClusterError as error:
                if error.message != told:
                    tell(events.SOURCE, error.message)
                told = error.message
            time.sleep(LOOK)
