# SPDX-License-Identifier: Apache-2.0
"""Whether the API server reaches bede-webhook: the same handshake, with the same name and authority.

A webhook that cannot be reached is silent: the API server makes pods as they are.
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from ocihook.cluster import fields
from ocihook.cluster.fields import Json

SECONDS = 5.0  #: to wait for the webhook; the API server waits as long
SOON = 14 * 86400  #: seconds before its end at which a certificate is said to end
_DAY = 86400
_SO = "; so pods that ask for local memory are made without a bound, or not at all"


class Webhook(NamedTuple):
    """Where the API server asks, and what it trusts there."""

    name: str  #: that the certificate has to have
    address: str
    port: int
    authority: str  #: in PEM; "" for the host's own


class Reached(NamedTuple):
    """What came of an attempt."""

    why: str = ""  #: why it failed, or soon will; "" if all is well
    ends: float | None = (
        None  #: when the certificate ends, in seconds after the epoch; None if it was not seen
    )


def webhook(configuration: Json) -> Webhook | None:
    """Return what the first webhook of a *configuration* asks; None if it has none."""
    for one in fields.objects(configuration, "webhooks"):
        asked = fields.mapping(one, "clientConfig")
        authority = _decoded(fields.text(asked, "caBundle"))
        url = urlsplit(fields.text(asked, "url"))
        if url.hostname:
            return Webhook(url.hostname, url.hostname, _port(url), authority)
        service, namespace = (fields.text(asked, "service", part) for part in ("name", "namespace"))
        name = f"{service}.{namespace}.svc"
        # The kubelet tells each container of the services beside it; other clusters' DNS may not know them.
        variable = service.upper().replace("-", "_") + "_SERVICE_"
        port = fields.size(asked, "service", "port") or 443
        return Webhook(name, os.environ.get(f"{variable}HOST", name), port, authority)
    return None


def _port(url: SplitResult) -> int:
    try:
        return url.port or 443
    except ValueError:
        return 0  # the API server takes a number that is no port, and reaches nobody there


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        return ""


def reach(one: Webhook, now: float) -> Reached:
    """Shake hands with the webhook at the time *now*, in seconds after the epoch."""
    where = f"{one.name}:{one.port}"
    try:
        context = ssl.create_default_context(cadata=one.authority or None)
        # The API server, which is written in Go, accepts authorities that say little of themselves.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        with (
            socket.create_connection((one.address, one.port), timeout=SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=one.name) as secure,
        ):
            told = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return Reached(f"the certificate of {where} is refused: {error.verify_message}{_SO}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Reached(f"{where} cannot be reached: {reason[:100]}{_SO}")
    ends = float(ssl.cert_time_to_seconds(str(told["notAfter"]))) if "notAfter" in told else None
    if ends is not None and ends - now < SOON:
        return Reached(f"the certificate of {where} ends in {max(0, int((ends - now) // _DAY))} days", ends)
    return Reached("", ends)
