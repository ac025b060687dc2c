# SPDX-License-Identifier: Apache-2.0
"""Lists the bound containers of this host, whoever holds them, and finds one by its name."""

from __future__ import annotations

import sys
from dataclasses import replace

from ocihook.backends import choose
from ocihook.control import client
from ocihook.control.status import Outside, Status
from ocihook.engines import cri, names
from ocihook.errors import AccessError, AgentError, InputError
from ocihook.spec import pod
from ocihook.state import records


def listing() -> list[Status]:
    """Return every bound container as ``bede ps --json`` shows it: sizes in bytes, names from its engine.

    Containers that the kernel bounds by itself are found by their cgroups; the agent lists the others. Raises
    BedeError.
    """
    alone = choose.without_agent()
    found = _beside(alone.listing()) if alone else client.listing()[0]
    wanted = [(container.id, container.cgroup) for container in found]
    known, members = names.of(wanted), cri.members(wanted)
    return [_named(container, known, members) for container in found]


def _named(container: Status, known: dict[str, str], members: dict[str, pod.Member]) -> Status:
    """Return *container* with its name in *known*, and with its pod in *members*, both by cgroup."""
    named = replace(container, name=known.get(container.cgroup, ""))
    of = members.get(container.cgroup)
    if of is None:
        return named
    return replace(
        named,
        namespace=of.namespace,
        pod=of.pod,
        pod_uid=of.uid,
        pod_container=of.container,
        borrows=of.borrows,
    )


def find(name: str, among: list[Status] | None = None) -> Status:
    """Return the bound container called *name*. Raises InputError if none or several match, BedeError.

    *name* is its id or key, its cgroup's path, its name in its engine, or the beginning of its id.
    """
    found = listing() if among is None else among
    if not name:
        found = []
    exact = [status for status in found if name in (status.id, status.key, status.cgroup)]
    named = [status for status in found if status.name == name]
    begins = [status for status in found if status.id.startswith(name)]
    matches = exact or named or begins
    if not matches:
        raise InputError(f"no bound container is called {name[:80]!r}", "`bede ps` shows them all")
    if len(matches) > 1:
        paths = ", ".join(container.cgroup for container in matches[:4])
        raise InputError(
            f"{name!r} is more than one container", f"Write more of the id, or the cgroup's path, of: {paths}"
        )
    return matches[0]


def _beside(containers: list[Status]) -> list[Status]:
    """Return *containers*, which the kernel bounds by itself, and those of an agent, if one runs."""
    held: list[Status] = []
    outside: dict[str, Outside] = {}
    try:
        held, outside = client.listing()
    except AccessError:
        pass  # every user can read the limits, but only root may ask the agent
    except AgentError as error:
        if _any_held():
            print(error.line("bede"), file=sys.stderr)
    return [*held, *(replace(container, outside=outside.get(container.cgroup)) for container in containers)]


def _any_held() -> bool:
    """Return whether there are containers that only the agent can list."""
    try:
        return any(records.listing())
    except AccessError:
        return False
