# SPDX-License-Identifier: Apache-2.0
"""Sends requests to the agent: one packet each, one packet as the answer."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from ocihook.control.status import Change, Outside, Status, change_from_json, from_json, outside_from_json
from ocihook.errors import EXIT_AGENT, EXIT_MACHINE, AccessError, AgentError, BedeError, InputError
from ocihook.spec import fastjson
from ocihook.state import records, user


class _Refused(BedeError):
    def __init__(self, message: str, hint: str, code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = code


def _code(value: object) -> int:
    """Return the exit code in an answer; EXIT_AGENT if an agent of another version sent no valid one."""
    return value if isinstance(value, int) and 0 < value < EXIT_MACHINE else EXIT_AGENT


#: seconds for an answer: an agent that is silent for longer is restarted by systemd (WatchdogSec)
_PATIENCE = 60.0


def ask(message: dict[str, Any], timeout: float = _PATIENCE) -> dict[str, Any]:
    """Send *message* to the agent and return its answer; *timeout* is in seconds.

    Raises BedeError, also if the answer is an error.
    """
    if not user.choose() and os.geteuid() != 0:
        raise AccessError("only root may speak to the agent", "Use sudo")
    hint = "Start it by systemctl start bede-agent, or let the next bound container start it"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(f"{records.RUN}/agent.sock")
            connection.send(json.dumps(message).encode())
            reply = fastjson.loads(connection.recv(1 << 20) or b"null")
        except TimeoutError:
            raise AgentError("the agent does not answer", "See journalctl -u bede-agent") from None
        except OSError as error:
            raise AgentError(f"the agent cannot be reached: {error.strerror}", hint) from None
        except InputError:
            raise AgentError(
                "the agent's answer is not JSON", "Restart it: it may be of another version"
            ) from None
    if not isinstance(reply, dict):
        raise AgentError("the agent hung up", "See journalctl -u bede-agent")
    if not reply.get("ok"):
        raise _Refused(str(reply.get("error")), str(reply.get("hint", "")), _code(reply.get("code")))
    return reply


def ping(timeout: float = _PATIENCE) -> int:
    """Return the agent's pid. Raises BedeError."""
    return int(ask({"op": "ping"}, timeout)["pid"])


def set_bound(key: str, size: str) -> Change:
    """Send ``bede set`` for the container whose record has *key*. Return the change. Raises BedeError."""
    return change_from_json(ask({"op": "set", "container": key, "bound": size}).get("container"))


def listing() -> tuple[list[Status], dict[str, Outside]]:
    """Return (containers that the agent holds, counts of processes outside, by cgroup). Raises BedeError.

    The counts are of the families that the agent follows but does not hold: a patched kernel bounds these.
    """
    containers: list[Status] = []
    outside: dict[str, Outside] = {}
    start: int | None = 0
    while start is not None:
        reply = ask({"op": "ps", "from": start})
        containers += map(from_json, reply["containers"])
        outside |= {path: outside_from_json(counts) for path, counts in reply.get("outside", {}).items()}
        start = reply.get("next")
    return containers, outside
