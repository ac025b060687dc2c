# SPDX-License-Identifier: Apache-2.0
"""The agent's socket: one JSON object a packet, one answer a packet, root only."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import time
from dataclasses import asdict
from typing import Any

from ocihook.agent.registry import Registry
from ocihook.errors import BedeError, InputError
from ocihook.spec import fastjson
from ocihook.state import records

SOCKET = "agent.sock"
_PACKET = 1 << 20
_AT_ONCE = 100  #: containers in one answer: the kernel takes some 200 KiB as one packet
_FIRST_PASSED = 3  # sd_listen_fds(3)


def listen() -> socket.socket:
    """Return the socket that systemd passed, or make one in :data:`records.RUN`. Raises OSError."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1":
        os.set_inheritable(_FIRST_PASSED, False)
        listener = socket.socket(fileno=_FIRST_PASSED)
    else:
        name = f"{records.RUN}/{SOCKET}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        before = os.umask(0o177)
        try:
            listener.bind(name)
        finally:
            os.umask(before)
        listener.listen(64)
    listener.setblocking(False)
    return listener


def peer_is_root(connection: socket.socket) -> bool:
    """Return whether the peer is root. The kernel tells this by SO_PEERCRED, so the peer cannot lie."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", raw)[1] == 0)


def answer(registry: Registry, packet: bytes) -> bytes:
    """Return the answer to *packet*. Whatever the packet contains, no exception leaves this function."""
    try:
        reply: dict[str, Any] = {"ok": True, **_do(registry, _message(packet))}
    except BedeError as error:
        reply = {"ok": False, "error": error.message, "hint": error.hint, "code": error.exit_code}
    except OSError as error:
        reply = {"ok": False, "error": str(error), "hint": "", "code": 1}
    return json.dumps(reply).encode()


def drain(registry: Registry, listener: socket.socket) -> None:
    """Answer everybody who waits at *listener*."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    # The loop calls this at every event of the host: polling first is cheaper than an accept that fails.
    while waiting.poll(0):
        try:
            connection = listener.accept()[0]
        except (BlockingIOError, ConnectionError):
            continue
        except OSError:
            time.sleep(0.05)  # no descriptor is left: without a pause the loop would call this again at once
            return
        serve(registry, connection)


def serve(registry: Registry, connection: socket.socket) -> None:
    """Answer one packet and close. A slow client delays the agent by two seconds at most."""
    with connection:
        connection.settimeout(1)
        try:
            if not peer_is_root(connection):
                return
            packet = connection.recv(_PACKET)
            if packet:
                connection.send(answer(registry, packet))
        except OSError:
            return  # the hook does not wait for its answer


def _message(packet: bytes) -> dict[str, Any]:
    message = fastjson.loads(packet, "the message")
    if not isinstance(message, dict):
        raise InputError("the message is not an object")
    return message


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str):
        raise InputError(f"the message has no {name}")
    return value


def _do(registry: Registry, message: dict[str, Any]) -> dict[str, Any]:
    op = message.get("op")
    if op == "ping":
        return {"pid": os.getpid()}
    if op == "added":
        record = records.read(_text(message, "key"))
        if record is not None:
            registry.adopt(record)
        return {}
    if op == "removed":
        registry.drop(_text(message, "key"))
        return {}
    if op == "ps":
        return _page(registry, message.get("from", 0))
    if op == "set":
        return {"container": registry.set(_text(message, "container"), _text(message, "bound")).as_json()}
    raise InputError(f"the agent does not know {op!r}")


def _page(registry: Registry, start: object) -> dict[str, Any]:
    """Return one page of the answer to `ps`, from number *start* on: held containers, then other families.

    A packet cannot be larger than the socket's buffer, hence pages.
    """
    if not isinstance(start, int) or isinstance(start, bool) or start < 0:
        raise InputError("the message has no number of where to go on")
    held = sorted(registry.containers.values(), key=lambda container: container.record.key)
    homes = {container.record.cgroup for container in held}
    others = [family for family in registry.families if family.cgroup.path not in homes]
    end = start + _AT_ONCE
    return {
        "containers": [registry.status(container).as_json() for container in held[start:end]],
        "outside": {
            family.cgroup.path: asdict(family.outside())
            for family in others[max(start - len(held), 0) : max(end - len(held), 0)]
        },
        "next": end if end < len(held) + len(others) else None,
    }
