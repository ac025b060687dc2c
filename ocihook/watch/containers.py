# SPDX-License-Identifier: Apache-2.0
"""The bound containers of this host, whoever holds them, and the one that a person means."""

from __future__ import annotations

import sys
from typing import Any

from ocihook.agent import client
from ocihook.engines import names
from ocihook.errors import AccessError, AgentError, InputError
from ocihook.state import records
from ocihook.watch import limited


def listing() -> list[dict[str, Any]]:
    """Every bound container as ``bede ps --json`` shows it: sizes in bytes, "name" as its engine knows it.

    What the kernel holds by itself comes from its cgroups, the rest from the agent. Raises BedeError.
    """
    found = _beside_limits() if limited.is_kernel() else client.listing()[0]
    known = names.of((one["id"], one["cgroup"]) for one in found)
    return [{"name": known.get(one["cgroup"], ""), **one} for one in found]


def find(name: str, among: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The bound container called *name*: its id or key, its cgroup's path, its name in Podman or Docker,
    or the beginning of its id. Raises InputError where that is none or more than one, BedeError.
    """
    found = listing() if among is None else among
    exact = [one for one in found if name and name in (one["id"], one["key"], one["cgroup"])]
    named = [one for one in found if name and one["name"] == name]
    begins = [one for one in found if name and one["id"].startswith(name)]
    matches = exact or named or begins
    if not matches:
        raise InputError(f"no bound container is called {name[:80]!r}", "`bede ps` shows them all")
    if len(matches) > 1:
        paths = ", ".join(one["cgroup"] for one in matches[:4])
        raise InputError(
            f"{name!r} is more than one container", f"Write more of the id, or the cgroup's path, of: {paths}"
        )
    return matches[0]


def _beside_limits() -> list[dict[str, Any]]:
    """What the kernel holds by itself, and what an agent, of which none is needed, knows beyond that."""
    containers = limited.listing()
    held: list[dict[str, Any]] = []
    outside: dict[str, Any] = {}
    try:
        held, outside = client.listing()
    except AccessError:
        pass  # limits are everybody's to read, what else there is is root's
    except AgentError as error:
        if _any_held():
            print(error.line("bede"), file=sys.stderr)
    return [*held, *({**one, "outside": outside.get(one["cgroup"])} for one in containers)]


def _any_held() -> bool:
    """Whether there are containers that only the agent can tell of."""
    try:
        return any(records.listing())
    except AccessError:
        return False
